/** How often the sidecar may die before it stays down. */
const mostRestarts = 5;
const withinMilliseconds = 3 * 60 * 1000;

/** Allows five restarts in three minutes, so that a sidecar that cannot live does not restart for ever. */
export class RestartBudget {
  #restarts: number[] = [];

  /** Whether a sidecar that died at `now` (milliseconds) may be restarted; counts it if so. */
  take(now: number): boolean {
    this.#restarts = this.#restarts.filter((time) => now - time < withinMilliseconds);
    if (this.#restarts.length >= mostRestarts) return false;
    this.#restarts.push(now);
    return true;
  }

  reset(): void {
    this.#restarts = [];
  }
}
