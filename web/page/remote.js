// Calls into a worker.
export class Remote {
  #worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  #waiting = new Map();
  #number = 0;

  // `listen` gets the worker's events.
  constructor(listen = () => {}) {
    this.#worker.addEventListener("message", ({ data }) => {
      if (data.event) return listen(data);
      const { done, fail } = this.#waiting.get(data.id);
      this.#waiting.delete(data.id);
      if ("error" in data) fail(new Error(data.error));
      else done(data.result);
    });
    this.#worker.addEventListener("error", (event) => {
      const error = new Error(event.message || "the worker could not be loaded");
      for (const { fail } of this.#waiting.values()) fail(error);
      this.#waiting.clear();
    });
  }

  call(call, ...args) {
    return new Promise((done, fail) => {
      this.#waiting.set(++this.#number, { done, fail });
      this.#worker.postMessage({ id: this.#number, call, args });
    });
  }

  end() {
    this.#worker.terminate();
  }
}
