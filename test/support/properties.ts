// Before every test file: properties are tried with the same cases in every run, so that one which fails does
// so again. It prints its seed and the path to the smallest case; PROPERTY_SEED=<n> tries others.
import fc from 'fast-check'

const { PROPERTY_SEED = '20261124' } = process.env
fc.configureGlobal({ seed: Number(PROPERTY_SEED) })
