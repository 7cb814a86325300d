// check.mjs FOLDER: runs the shaders of a folder on Dawn, Chromium's WebGPU implementation, and compares
// their results with those in the folder's `runs.json`.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { create, globals } from 'webgpu';
// The page's shaders.js, which checks/run copies here.
import { ShaderRunner } from './shaders.mjs';

Object.assign(globalThis, globals);
const folder = process.argv[2];
if (!folder) {
  console.error('usage: node check.mjs FOLDER');
  process.exit(2);
}
const gpu = create(['backend=vulkan']); // Kept alive: its devices do not outlive it.
const adapter = await gpu.requestAdapter();
if (!adapter) {
  console.error('Dawn finds no adapter: it needs a Vulkan driver that it supports, such as SwiftShader');
  process.exit(1);
}
const device = await adapter.requestDevice({ requiredLimits: ShaderRunner.limits(adapter) });
let failures = 0;
const fail = (message) => {
  failures += 1;
  console.error(message);
};
device.addEventListener('uncapturederror', ({ error }) => fail(error.message));
console.log(`Dawn on ${adapter.info.description || adapter.info.device}`);

const runner = new ShaderRunner(device, (shader) => readFileSync(join(folder, `${shader}.wgsl`), 'utf8'));
const runs = JSON.parse(readFileSync(join(folder, 'runs.json'), 'utf8'));
for (const run of runs) {
  try {
    const errors = await runner.run(run);
    for (const [key, off, within] of errors) {
      if (!(off <= within)) fail(`${run.name}: ${key} are off by ${off}, expected at most ${within}`);
    }
    console.log(`${run.name}: off by ${errors.map(([key, off]) => `${key} ${off.toExponential(1)}`).join(', ')}`);
  } catch (error) {
    fail(`${run.name}: ${error.message}`);
  }
}
console.log(`${runner.shaders} shaders in ${runs.length} runs, ${failures} failures`);
process.exit(failures > 0 || runs.length === 0 ? 1 : 0);
