import { lab, enqueue } from './lab.ts'
import { createRuntime } from '../dist/runtime.js'
import { createEvents } from '../dist/protocol/events.js'
import { loadConfig } from '../dist/config/load.js'
const N=20000
const bench = lab({ 'noop.js': `export default () => 'hello'` })
const config = await loadConfig({cwd: bench.root, env: {}, flags: {workspace: bench.workspace}, evaluate: async()=>({})})
const events = createEvents()
const sizes:number[]=[], claims:number[]=[]; let done=0; let times:number[]=[]
events.on('settled',(s:any)=>{sizes.push(s.length); done+=s.length; times.push(performance.now())})
events.on('claimed',(c:any)=>claims.push(c.ids.length))
const rt=createRuntime(config,events); await rt.start()
enqueue(bench.inbound,1,()=>({id:'first'})); while(done<1) await new Promise(r=>setTimeout(r,5))
const s=performance.now(); enqueue(bench.inbound,N); const e=performance.now()
while(done<N+1) await new Promise(r=>setTimeout(r,5))
console.log('enq',e-s,'run',N/(performance.now()-e)*1000,'commits',sizes.length,'mean',N/sizes.length,'claims',claims.length, sizes.slice(0,40).join(' '),'|',claims.slice(0,60).join(' '))
console.log(times.slice(1).map((t,i)=>(t-times[i]!).toFixed(0)).slice(0,40).join(' '))
await rt.stop(); bench.close()
