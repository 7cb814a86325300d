// Compares the metrics of a training in the page with those of `proxmo train` with the same settings.
//
// Usage: node web/compare.mjs PAGE.jsonl NATIVE.jsonl ITERATIONS BOUND
//   BOUND  of the absolute difference of each metric
import { readFileSync } from "node:fs";

const [page, native, iterations, bound] = process.argv.slice(2);
const read = (file) => {
  const lines = readFileSync(file, "utf8").trim().split("\n").map((line) => JSON.parse(line));
  return new Map(lines.map((one) => [one.iteration, one]));
};
const [ours, theirs] = [read(page), read(native)];
const names = ["loss", "policy_loss", "kl", "entropy", "gradient_norm", "success", "return", "length"];
let worst = 0;
for (let iteration = 1; iteration <= Number(iterations); iteration += 1) {
  const [one, other] = [ours.get(iteration), theirs.get(iteration)];
  if (!one || !other) throw new Error(`iteration ${iteration} is missing`);
  for (const name of names) {
    const apart = Math.abs(one[name] - other[name]);
    if (!(apart <= Number(bound))) {
      throw new Error(`${name} of iteration ${iteration}: ${one[name]} in the page, ${other[name]} natively`);
    }
    worst = Math.max(worst, apart);
  }
}
console.log(`${iterations} iterations as natively: ${names.join(", ")} differ by at most ${worst.toExponential(1)}`);
