#include "runtime/self_check.h"

#include "runtime/logits.h"

namespace sightline::runtime {

Divergence divergence(std::span<const float> reference, std::span<const float> other,
                      size_t vocabulary) {
  double sum = 0;
  size_t same = 0;
  const size_t rows = reference.size() / vocabulary;
  for (size_t row = 0; row < rows; row++) {
    const auto p = reference.subspan(row * vocabulary, vocabulary);
    const auto q = other.subspan(row * vocabulary, vocabulary);
    const LogSum of_p = log_sum(p);
    const LogSum of_q = log_sum(q);
    sum += divergence(p, of_p, q, of_q);
    same += of_p.top == of_q.top ? 1 : 0;
  }
  const auto count = static_cast<double>(rows);
  return {sum / count, static_cast<double>(same) / count};
}

std::string_view check_text() {
  return R"code(// Keeps the most recent entries of a table and forgets the others.
export class RecentTable<Key, Value> {
  private readonly entries = new Map<Key, Value>();

  constructor(private readonly capacity: number) {
    if (!Number.isInteger(capacity) || capacity < 1) {
      throw new RangeError(`capacity must be a positive integer, not ${capacity}`);
    }
  }

  get(key: Key): Value | undefined {
    const value = this.entries.get(key);
    if (value === undefined) return undefined;
    this.entries.delete(key);
    this.entries.set(key, value);
    return value;
  }

  set(key: Key, value: Value): void {
    this.entries.delete(key);
    this.entries.set(key, value);
    while (this.entries.size > this.capacity) {
      const oldest = this.entries.keys().next();
      if (oldest.done) break;
      this.entries.delete(oldest.value);
    }
  }
}

# Reads lines of "name = number" and reports what it cannot understand.
import re
import sys

LINE = re.compile(r"^\s*(\w+)\s*=\s*(-?\d+(?:\.\d+)?)\s*$")

def read_settings(path):
    settings = {}
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            match = LINE.match(line)
            if match is None:
                raise ValueError(f"{path}:{number}: expected a name and a number")
            name, value = match.groups()
            if name in settings:
                raise ValueError(f"{path}:{number}: {name} is set twice")
            settings[name] = float(value)
    return settings

if __name__ == "__main__":
    for name, value in sorted(read_settings(sys.argv[1]).items()):
        print(f"{name:>20} {value:12.3f}")

/* Merges two sorted ranges into a third one that has room for both. */
#include <stddef.h>

size_t merge(const int *a, size_t a_count, const int *b, size_t b_count, int *out) {
  size_t i = 0, j = 0, k = 0;
  while (i < a_count && j < b_count) {
    if (b[j] < a[i]) {
      out[k++] = b[j++];
    } else {
      out[k++] = a[i++];
    }
  }
  while (i < a_count) out[k++] = a[i++];
  while (j < b_count) out[k++] = b[j++];
  return k;
}

// Sums the areas of all shapes in a list.
enum Shape { Circle { radius: f64 }, Square { side: f64 }, Rectangle { width: f64, height: f64 } }

fn area(shape: &Shape) -> f64 {
    match shape {
        Shape::Circle { radius } => std::f64::consts::PI * radius * radius,
        Shape::Square { side } => side * side,
        Shape::Rectangle { width, height } => width * height,
    }
}

fn total_area(shapes: &[Shape]) -> f64 {
    shapes.iter().map(area).sum()
}
)code";
}

}  // namespace sightline::runtime
