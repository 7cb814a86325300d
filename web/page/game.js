// A game of the visitor beside the agent's game of the same task.
import { at, make } from "./elements.js";
import { Remote } from "./remote.js";

const step = (action, observation) => make("li", {}, make("b", {}, action), make("span", {}, observation));

export class GameView {
  #remote = null;
  #settings = null;
  #game = 0;
  #agent = null;
  #steps = 0;
  #over = false;

  // `agentPlays` gives the agent's game of a task, or null without an agent.
  constructor(settings, agentPlays, fault) {
    Object.assign(this, { settings, agentPlays, fault });
    this.form = at("game");
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#begin().catch(fault);
    });
    at("filter").addEventListener("input", () => this.#filter());
    this.form.querySelector("button").disabled = false;
  }

  async #begin() {
    const number = ++this.#game;
    const settings = this.settings();
    this.#remote ??= new Remote();
    if (this.#settings !== settings) {
      this.form.task.max = (await this.#remote.call("tasks", settings)) - 1;
      this.#settings = settings;
    }
    if (this.form.task.valueAsNumber > Number(this.form.task.max)) this.form.task.value = 0;
    const task = this.form.task.valueAsNumber || 0;
    const { goal, kind, max_steps: limit, state } = await this.#remote.call("game", task);
    this.form.task.value = (task + 1) % (Number(this.form.task.max) + 1);
    at("goal").hidden = false;
    at("goal").replaceChildren(make("b", {}, goal), ` (task ${task}, ${kind}, at most ${limit} steps)`);
    at("you").replaceChildren(step("", state.observation));
    at("agent").replaceChildren(step("", state.observation));
    at("you-end").textContent = "";
    [this.#agent, this.#steps, this.#over] = [null, 0, false];
    this.#offer(state);
    const playing = this.agentPlays(task);
    at("agent-end").textContent = playing ? "The agent plays after the iteration in progress…"
      : "Start a training: then the agent plays the same task.";
    const played = await playing;
    if (!played || number !== this.#game) return;
    this.#agent = played;
    this.#follow();
  }

  #offer({ actions, over }) {
    const buttons = actions.map((action) => {
      const button = make("button", { type: "button" }, action);
      button.addEventListener("click", () => this.#act(action).catch(this.fault));
      return button;
    });
    at("actions").replaceChildren(...buttons);
    at("filter").hidden = over;
    at("filter").querySelector("input").value = "";
  }

  #filter() {
    const wanted = at("filter").querySelector("input").value.toLowerCase();
    for (const button of at("actions").children) button.hidden = !button.textContent.toLowerCase().includes(wanted);
  }

  async #act(action) {
    for (const button of at("actions").children) button.disabled = true;
    const state = await this.#remote.call("act", action);
    [this.#steps, this.#over] = [state.steps, state.over];
    at("you").append(step(action, state.observation));
    at("you").scrollTop = at("you").scrollHeight;
    if (state.over) at("you-end").textContent = `You ${state.won ? "won" : "lost"} after ${state.steps} steps.`;
    this.#offer(state);
    this.#follow();
  }

  // Shows as many of the agent's steps as the visitor has taken, and all of them in the end.
  #follow() {
    if (!this.#agent) return;
    const { iteration, steps, won } = this.#agent;
    const list = at("agent");
    const shown = list.children.length - 1;
    for (const { action, probability, observation } of steps.slice(shown, this.#over ? undefined : this.#steps)) {
      list.append(step(`${action} (${(100 * probability).toFixed(0)} %)`, observation));
    }
    list.scrollTop = list.scrollHeight;
    const ended = list.children.length - 1 === steps.length;
    at("agent-end").textContent = ended
      ? `The agent ${won ? "won" : "lost"} after ${steps.length} steps.`
      : `The agent has learned for ${iteration} iterations; its next step appears with yours.`;
  }
}
