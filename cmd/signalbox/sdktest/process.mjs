// One process of a program: its log, and its end.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { DEADLINE, Recorder, within } from './recorder.mjs';

const children = new Set();
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

export class Process {
  #child;
  #exited;
  #log = new Recorder();

  /** Every line of stderr so far. */
  lines = [];

  constructor(program, ...args) {
    this.#child = spawn(program, args, { stdio: ['ignore', 'inherit', 'pipe'] });
    children.add(this.#child);
    this.#exited = new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('close', (code, signal) => {
        children.delete(this.#child);
        resolve(code ?? signal);
      });
    });
    createInterface({ input: this.#child.stderr }).on('line', (line) => this.#line(line));
  }

  // A line is an entry of a JSON log, or else plain text.
  #line(line) {
    this.lines.push(line);
    if (line.startsWith('{')) this.#log.record('entry', JSON.parse(line));
    else this.#log.record('text', line);
  }

  get pid() {
    return this.#child.pid;
  }

  get running() {
    return children.has(this.#child);
  }

  /** Waits for an entry of a JSON log that matches, beginning with the process, and fails if that ends first. */
  logged(match) {
    return this.#before(this.#log.next('entry', match));
  }

  /** Waits for a line of plain text that holds this, and returns it. */
  said(text) {
    return this.#before(this.#log.next('text', (line) => line.includes(text)));
  }

  #before(heard) {
    const ended = this.#exited.then((status) => {
      throw new Error(`the process ended with ${status} before it said that:\n${this.lines.join('\n')}`);
    });
    ended.catch(() => {});
    return Promise.race([heard, ended]);
  }

  /** Sends the signal and returns the exit code, or the signal's name if that ended it. */
  signal(name) {
    this.#child.kill(name);
    return within(this.#exited, `exit after ${name}`, 2 * DEADLINE);
  }

  kill() {
    this.#child.kill('SIGKILL');
  }
}
