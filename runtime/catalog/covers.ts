/** Whether this is a package of that name, or a module in it; `*` in the name stands for any text. */
export function covers(name: string, path: string): boolean {
  if (!name.includes('*')) return path === name || path.startsWith(`${name}/`)
  const parts = name.split('*').map((part) => part.replace(/[\\^$.|?+()[\]{}]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}(/|$)`).test(path)
}
