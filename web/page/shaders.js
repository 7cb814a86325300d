// Runs shaders on a WebGPU device and compares their results with expected ones. Works in a browser, and with any
// other implementation of WebGPU.

// The largest error, relative to the largest expected magnitude.
const distance = (found, expected) => {
  const magnitude = expected.reduce((most, number) => Math.max(most, Math.abs(number)), 1e-30);
  const off = expected.map((number, at) => Math.abs(found[at] - number) / magnitude);
  return off.reduce((most, one) => Math.max(most, Number.isNaN(one) ? Infinity : one), 0);
};

export class ShaderRunner {
  #device;
  #source;
  #pipelines = new Map();

  // `source` gives the text of a shader's name. `device` may need more than the default limits: see `limits`.
  constructor(device, source) {
    [this.#device, this.#source] = [device, source];
  }

  // What an adapter must grant: the large variant of the gradients needs more workgroup memory than the default.
  static limits({ limits: { maxComputeWorkgroupStorageSize } }) {
    return { maxComputeWorkgroupStorageSize };
  }

  // The number of shaders that were compiled.
  get shaders() {
    return this.#pipelines.size;
  }

  // Makes a run's passes. Returns its errors: a list of [name, error, bound].
  async run({ buffers: given, passes, expected }) {
    const { STORAGE, COPY_SRC } = GPUBufferUsage;
    const made = Object.entries(given).map(([key, what]) => [key, this.#buffer(what, STORAGE | COPY_SRC)]);
    const buffers = Object.fromEntries(made);
    for (const pass of passes) await this.#launch(pass, buffers);
    const errors = [];
    for (const [key, { numbers, within }] of Object.entries(expected)) {
      errors.push([key, distance(await this.#numbers(buffers[key]), numbers), within]);
    }
    return errors;
  }

  async #pipeline(shader) {
    if (!this.#pipelines.has(shader)) {
      const module = this.#device.createShaderModule({ code: this.#source(shader) });
      const [wrong] = (await module.getCompilationInfo()).messages;
      if (wrong) throw new Error(`${shader}.wgsl:${wrong.lineNum}: ${wrong.type}: ${wrong.message}`);
      const compute = { module, entryPoint: "main" };
      this.#pipelines.set(shader, await this.#device.createComputePipelineAsync({ layout: "auto", compute }));
    }
    return this.#pipelines.get(shader);
  }

  // A buffer with given words, or filled with NaN if only its size is given, so that missing writes show.
  #buffer(contents, usage) {
    const words = Array.isArray(contents)
      ? new Uint32Array(contents)
      : new Uint32Array(contents).fill(0x7fc00000);
    const made = this.#device.createBuffer({ size: words.byteLength, usage: usage | GPUBufferUsage.COPY_DST });
    this.#device.queue.writeBuffer(made, 0, words);
    return made;
  }

  async #launch({ shader, grid, bind, uniform }, buffers) {
    const made = await this.#pipeline(shader);
    const padded = [...uniform, ...Array(-uniform.length & 3).fill(0)];
    const bound = [...bind.map((name) => buffers[name]), this.#buffer(padded, GPUBufferUsage.UNIFORM)];
    const entries = bound.map((buffer, binding) => ({ binding, resource: { buffer } }));
    const encoder = this.#device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(made);
    pass.setBindGroup(0, this.#device.createBindGroup({ layout: made.getBindGroupLayout(0), entries }));
    pass.dispatchWorkgroups(...grid);
    pass.end();
    this.#device.queue.submit([encoder.finish()]);
  }

  async #numbers(source) {
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    const target = this.#device.createBuffer({ size: source.size, usage });
    const encoder = this.#device.createCommandEncoder();
    encoder.copyBufferToBuffer(source, 0, target, 0, source.size);
    this.#device.queue.submit([encoder.finish()]);
    await target.mapAsync(GPUMapMode.READ);
    return new Float32Array(target.getMappedRange().slice(0));
  }
}
