'use strict';
/** Stands in for @vscode/native-watchdog, which ends an extension host whose parent is gone. */
exports.start = function (parent) {
  const watch = () => {
    try {
      process.kill(parent, 0);
    } catch {
      process.exit(1);
    }
  };
  setInterval(watch, 2000).unref();
};
exports.exit = function (code) {
  process.exit(code);
};
