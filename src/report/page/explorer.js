// The curves of all metrics: a canvas each, drawn from the data in this page.
"use strict";
(() => {
  const runs = JSON.parse(document.getElementById("explorer-data").textContent);
  const section = document.getElementById("explorer");
  const control = (name) => section.querySelector(`[name=${name}]`);
  const [axis, smoothing, filter] = ["axis", "smoothing", "filter"].map(control);
  const charts = section.querySelector(".charts");
  const names = [...new Set(runs.flatMap((run) => Object.keys(run.values)))];
  const unit = { steps: "environment steps", iterations: "iterations", minutes: "minutes" };

  // Exponential moving averages, without the bias towards the first value.
  const smoothed = (values, share) => {
    let [sum, weight] = [0, 0];
    return values.map((value) => {
      if (value === null) return null;
      [sum, weight] = [share * sum + (1 - share) * value, share * weight + 1 - share];
      return sum / weight;
    });
  };
  const short = (value) => {
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2);
    return String(Number(value.toPrecision(3)));
  };
  const isShown = (run) => document.getElementById(`show${run.variant}`)?.checked ?? true;
  const colour = (run) => getComputedStyle(section.querySelector(`.v${run.variant}`)).getPropertyValue("--curve");

  // The points of a metric, a list for each run that has it.
  const curvesOf = (name) =>
    runs.filter((run) => run.values[name] && isShown(run)).map((run) => {
      const values = smoothed(run.values[name], Number(smoothing.value));
      const points = run[axis.value].map((x, place) => [x, values[place], run.iterations[place]]);
      return { run, points: points.filter(([, y]) => y !== null) };
    }).filter((curve) => curve.points.length > 0);

  const range = (values) => {
    let [low, high] = [Infinity, -Infinity];
    for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
    if (low === high) [low, high] = [low - (Math.abs(low) || 1) / 2, high + (Math.abs(high) || 1) / 2];
    return [low, high];
  };

  const draw = (figure) => {
    const canvas = figure.querySelector("canvas");
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    const dots = window.devicePixelRatio || 1;
    [canvas.width, canvas.height] = [width * dots, height * dots];
    const pen = canvas.getContext("2d");
    pen.scale(dots, dots);
    const style = getComputedStyle(document.body);
    const [pale, line] = ["--pale", "--line"].map((name) => style.getPropertyValue(name));
    const curves = curvesOf(figure.dataset.metric);
    figure.curves = curves;
    if (curves.length === 0) return;
    const all = curves.flatMap((curve) => curve.points);
    const [left, right] = range(all.map(([x]) => x));
    const [low, high] = range(all.map(([, y]) => y));
    const box = { x: 52, y: 8, width: width - 60, height: height - 30 };
    const place = ([x, y]) => [
      box.x + ((x - left) / (right - left)) * box.width,
      box.y + (1 - (y - low) / (high - low)) * box.height,
    ];
    figure.place = place;
    pen.font = "11px system-ui, sans-serif";
    pen.lineJoin = "round";
    pen.strokeStyle = line;
    pen.fillStyle = pale;
    for (const share of [0, 0.5, 1]) {
      const y = box.y + (1 - share) * box.height;
      pen.beginPath();
      pen.moveTo(box.x, y);
      pen.lineTo(box.x + box.width, y);
      pen.stroke();
      pen.textAlign = "right";
      pen.fillText(short(low + share * (high - low)), box.x - 5, y + 4);
      pen.textAlign = share === 0 ? "left" : share === 1 ? "right" : "center";
      pen.fillText(short(left + share * (right - left)), box.x + share * box.width, height - 6);
    }
    for (const { run, points } of curves) {
      [pen.strokeStyle, pen.fillStyle, pen.lineWidth] = [colour(run), colour(run), 1.5];
      pen.beginPath();
      points.forEach((point) => pen.lineTo(...place(point)));
      pen.stroke();
      if (points.length === 1) pen.fillRect(...place(points[0]).map((at) => at - 2), 4, 4);
    }
  };

  // The values next to the pointer, as text below the chart.
  const tell = (figure, event) => {
    const output = figure.querySelector("output");
    if (!event || !figure.curves?.length) return (output.textContent = "");
    const at = event.clientX - figure.querySelector("canvas").getBoundingClientRect().left;
    const distance = (point) => Math.abs(figure.place(point)[0] - at);
    const texts = figure.curves.map(({ run, points }) => {
      const near = points.reduce((best, point) => (distance(point) < distance(best) ? point : best));
      const head = axis.value === "iterations" ? "" : `, ${short(near[0])} ${unit[axis.value]}`;
      return `${runs.length > 1 ? `${run.name}: ` : ""}${short(near[1])} (iteration ${near[2]}${head})`;
    });
    output.textContent = texts.slice(0, 8).join("\n") + (texts.length > 8 ? "\n…" : "");
  };

  const shown = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      target.isNear = isIntersecting;
      if (isIntersecting) draw(target);
    }
  });
  for (const name of names) {
    const figure = document.createElement("figure");
    figure.dataset.metric = name;
    for (const [kind, text] of [["figcaption", name], ["canvas", ""], ["output", ""]]) {
      const element = document.createElement(kind);
      element.textContent = text;
      figure.append(element);
    }
    const canvas = figure.querySelector("canvas");
    canvas.addEventListener("pointermove", (event) => tell(figure, event));
    canvas.addEventListener("pointerdown", (event) => tell(figure, event));
    canvas.addEventListener("pointerleave", () => tell(figure, null));
    charts.append(figure);
    shown.observe(figure);
  }
  const redraw = () => {
    const wanted = filter.value.toLowerCase();
    for (const figure of charts.children) {
      figure.hidden = !figure.dataset.metric.toLowerCase().includes(wanted);
      if (figure.isNear && !figure.hidden) draw(figure);
    }
  };
  for (const element of [axis, smoothing, filter]) element.addEventListener("input", redraw);
  document.querySelectorAll(".legend input").forEach((box) => box.addEventListener("change", redraw));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  addEventListener("resize", redraw);
  section.hidden = false;
})();
