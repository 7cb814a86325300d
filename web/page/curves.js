// The curves of a training: a canvas for each metric.
import { make, short } from "./elements.js";

const METRICS = [
  ["success", "Success (share of episodes)", ({ success }) => success, [0, 1]],
  ["return", "Return (mean of episodes)", (metrics) => metrics.return],
  ["length", "Steps of an episode (mean)", ({ length }) => length],
  ["loss", "Loss", ({ loss }) => loss],
  ["entropy", "Entropy (nats)", ({ entropy }) => entropy],
  ["kl", "KL divergence (nats)", ({ kl }) => kl],
  ["gradient", "Gradient norm", (metrics) => metrics.gradient_norm],
  ["seconds", "Seconds of an iteration", ({ seconds }) => seconds.rollout + seconds.credit + seconds.update],
];

const range = (values, fixed) => {
  if (fixed) return fixed;
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  if (low === high) [low, high] = [low - (Math.abs(low) || 1) / 2, high + (Math.abs(high) || 1) / 2];
  return [low, high];
};

class Curve {
  #points = [];
  #place = null;

  constructor([name, title, read, fixed]) {
    [this.read, this.fixed] = [read, fixed];
    this.canvas = make("canvas", { role: "img", "aria-label": title });
    this.output = make("output");
    this.figure = make("figure", { "data-metric": name }, make("figcaption", {}, title), this.canvas, this.output);
    for (const kind of ["pointermove", "pointerdown"]) {
      this.canvas.addEventListener(kind, (event) => this.#tell(event.offsetX));
    }
    this.canvas.addEventListener("pointerleave", () => this.#tell(Infinity));
  }

  add(metrics) {
    const value = this.read(metrics);
    if (value !== null && value !== undefined) this.#points.push([metrics.iteration, value]);
  }

  // The value of the iteration next to a place; that of the last one at infinity.
  #tell(x) {
    if (!this.#points.length) return;
    const far = ([iteration]) => (x === Infinity ? -iteration : Math.abs(this.#place([iteration, 0])[0] - x));
    const [iteration, value] = this.#points.reduce((best, point) => (far(point) < far(best) ? point : best));
    this.output.textContent = `${short(value)} (iteration ${iteration})`;
  }

  draw() {
    const { canvas } = this;
    const [width, height, dots] = [canvas.clientWidth, canvas.clientHeight, devicePixelRatio || 1];
    [canvas.width, canvas.height] = [width * dots, height * dots];
    const pen = canvas.getContext("2d");
    pen.scale(dots, dots);
    const points = this.#points;
    if (!points.length) return;
    const style = getComputedStyle(canvas);
    const colour = (name) => style.getPropertyValue(name);
    const [left, right] = range(points.map(([x]) => x));
    const [low, high] = range(points.map(([, y]) => y), this.fixed);
    const box = { x: 58, y: 8, width: width - 66, height: height - 30 };
    this.#place = ([x, y]) => [
      box.x + ((x - left) / (right - left)) * box.width,
      box.y + (1 - (y - low) / (high - low)) * box.height,
    ];
    pen.font = "11px system-ui, sans-serif";
    [pen.lineJoin, pen.strokeStyle, pen.fillStyle] = ["round", colour("--line"), colour("--pale")];
    for (const share of [0, 0.5, 1]) {
      const y = box.y + (1 - share) * box.height;
      pen.beginPath();
      pen.moveTo(box.x, y);
      pen.lineTo(box.x + box.width, y);
      pen.stroke();
      pen.textAlign = "right";
      pen.fillText(short(low + share * (high - low)), box.x - 5, y + 4);
    }
    pen.textAlign = "left";
    pen.fillText(short(points[0][0]), box.x, height - 6);
    pen.textAlign = "right";
    pen.fillText(short(points[points.length - 1][0]), box.x + box.width, height - 6);
    [pen.strokeStyle, pen.fillStyle, pen.lineWidth] = [colour("--t0"), colour("--t0"), 1.75];
    pen.beginPath();
    for (const point of points) pen.lineTo(...this.#place(point));
    pen.stroke();
    if (points.length === 1) pen.fillRect(...this.#place(points[0]).map((one) => one - 2), 4, 4);
    this.#tell(Infinity);
  }
}

export class Curves {
  #curves = METRICS.map((metric) => new Curve(metric));

  constructor(place) {
    place.append(...this.#curves.map(({ figure }) => figure));
    const draw = () => this.draw();
    addEventListener("resize", draw);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  }

  add(metrics) {
    for (const curve of this.#curves) curve.add(metrics);
    this.draw();
  }

  draw() {
    for (const curve of this.#curves) curve.draw();
  }
}
