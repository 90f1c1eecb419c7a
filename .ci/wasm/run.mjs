// node run.mjs MODULE CASES: proves every row of the registry in WebAssembly; fails if one does, or if there is none.
import { readFileSync } from 'node:fs';

const [path, cases] = process.argv.slice(2);
let memory;
const host = { say: (text, len) => console.log(new TextDecoder().decode(new Uint8Array(memory.buffer, text, len))) };
const { instance } = await WebAssembly.instantiate(readFileSync(path), { host });
memory = instance.exports.memory;

let passed = 0;
let failed = 0;
const rows = instance.exports.rows();
for (let row = 0; row < rows; row++) {
    // What panics traps, and leaves nothing to go on with.
    if (instance.exports.passes(row, Number(cases)) === 1) passed++;
    else failed++;
}
console.log(`test result: ${failed ? 'FAILED' : 'ok'}. ${passed} passed; ${failed} failed; 0 ignored`);
process.exit(failed || !passed ? 1 : 0);
