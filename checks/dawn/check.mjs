// check.mjs FOLDER: runs the shaders of a folder on Dawn, the WebGPU of Chromium, and compares the results
// with the expected ones in the folder's `runs.json`.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { create, globals } from 'webgpu';

Object.assign(globalThis, globals);
const folder = process.argv[2];
if (!folder) {
  console.error('usage: node check.mjs FOLDER');
  process.exit(2);
}
const gpu = create(['backend=vulkan']); // Kept: its devices are destroyed with it.
const adapter = await gpu.requestAdapter();
if (!adapter) {
  console.error('Dawn finds no adapter: it needs a Vulkan driver that it supports, such as SwiftShader');
  process.exit(1);
}
// The large variant of the gradients needs more workgroup memory than some devices have.
const { maxComputeWorkgroupStorageSize } = adapter.limits;
const device = await adapter.requestDevice({ requiredLimits: { maxComputeWorkgroupStorageSize } });
device.addEventListener('uncapturederror', ({ error }) => fail(error.message));
console.log(`Dawn on ${adapter.info.description || adapter.info.device}`);

let failures = 0;
function fail(message) {
  failures += 1;
  console.error(message);
}

const pipelines = new Map();
async function pipeline(shader) {
  if (!pipelines.has(shader)) {
    const code = readFileSync(join(folder, `${shader}.wgsl`), 'utf8');
    const module = device.createShaderModule({ code });
    for (const { type, lineNum, message } of (await module.getCompilationInfo()).messages) {
      fail(`${shader}.wgsl:${lineNum}: ${type}: ${message}`);
    }
    const compute = { module, entryPoint: 'main' };
    pipelines.set(shader, await device.createComputePipelineAsync({ layout: 'auto', compute }));
  }
  return pipelines.get(shader);
}

// A buffer's words; NaN throughout if only its size is given, so that unwritten words show.
const { STORAGE, COPY_SRC, COPY_DST, MAP_READ, UNIFORM } = GPUBufferUsage;
function buffer(contents, usage) {
  const words = Array.isArray(contents)
    ? new Uint32Array(contents)
    : new Uint32Array(contents).fill(0x7fc00000);
  const made = device.createBuffer({ size: words.byteLength, usage: usage | COPY_DST });
  device.queue.writeBuffer(made, 0, words);
  return made;
}

async function numbers(source) {
  const target = device.createBuffer({ size: source.size, usage: MAP_READ | COPY_DST });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(source, 0, target, 0, source.size);
  device.queue.submit([encoder.finish()]);
  await target.mapAsync(GPUMapMode.READ);
  return new Float32Array(target.getMappedRange().slice(0));
}

async function launch({ shader, grid, bind, uniform }, buffers) {
  const made = await pipeline(shader);
  const padded = [...uniform, ...Array(-uniform.length & 3).fill(0)];
  const bound = [...bind.map((name) => buffers[name]), buffer(padded, UNIFORM)];
  const entries = bound.map((buffer, binding) => ({ binding, resource: { buffer } }));
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(made);
  pass.setBindGroup(0, device.createBindGroup({ layout: made.getBindGroupLayout(0), entries }));
  pass.dispatchWorkgroups(...grid);
  pass.end();
  device.queue.submit([encoder.finish()]);
}

// The largest distance from the expected numbers, in units of their magnitude.
function distance(found, expected) {
  const magnitude = expected.reduce((most, number) => Math.max(most, Math.abs(number)), 1e-30);
  const off = expected.map((number, at) => Math.abs(found[at] - number) / magnitude);
  return off.reduce((most, one) => Math.max(most, Number.isNaN(one) ? Infinity : one), 0);
}

const runs = JSON.parse(readFileSync(join(folder, 'runs.json'), 'utf8'));
for (const { name, buffers: given, passes, expected } of runs) {
  const made = Object.entries(given).map(([key, what]) => [key, buffer(what, STORAGE | COPY_SRC)]);
  const buffers = Object.fromEntries(made);
  for (const pass of passes) await launch(pass, buffers);
  const said = [];
  for (const [key, { numbers: wanted, within }] of Object.entries(expected)) {
    const off = distance(await numbers(buffers[key]), wanted);
    if (!(off <= within)) fail(`${name}: ${key} are off by ${off}, expected at most ${within}`);
    said.push(`${key} ${off.toExponential(1)}`);
  }
  console.log(`${name}: off by ${said.join(', ')}`);
}
console.log(`${pipelines.size} shaders in ${runs.length} runs, ${failures} failures`);
process.exit(failures > 0 || runs.length === 0 ? 1 : 0);
