#include "data/images/synthetic.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "engine/tensor/random.h"
#include "kernels/base/error.h"

namespace ek {
namespace {

constexpr std::int64_t side = 32, num_classes = 10;

// A point in the frame of a shape, which spans about [-1, 1] in x and y.
struct Point {
  double x, y;
};

Point turned(Point p, double degrees) {
  const double angle = degrees * std::numbers::pi / 180;
  return {p.x * std::cos(angle) - p.y * std::sin(angle),
          p.x * std::sin(angle) + p.y * std::cos(angle)};
}

// Shapes are functions that are negative inside, with a slope of about 1. `bend` in [0, 1] leads
// from one sibling to the other.

// Distance from the centre in the metric whose unit ball goes from a disc to a square.
double rounded_square(Point p, double bend) {
  const double n = 1 / (0.5 - 0.42 * bend);
  return std::pow(std::pow(std::abs(p.x), n) + std::pow(std::abs(p.y), n), 1 / n);
}
double disc_to_square(Point p, double bend) {
  return rounded_square(p, bend) - 0.9 + 0.05 * bend;
}
double ring_to_frame(Point p, double bend) {
  return std::abs(rounded_square(p, bend) - 0.72 + 0.05 * bend) - 0.17;
}
double plus_to_cross(Point p, double bend) {
  const Point q = turned(p, 45 * bend);
  const double across = std::max(std::abs(q.x) - 1, std::abs(q.y) - 0.26);
  const double down = std::max(std::abs(q.y) - 1, std::abs(q.x) - 0.26);
  return std::min(across, down);
}
double triangle(Point p, double) {
  return std::max(std::abs(p.x) * 0.866 - p.y * 0.5, p.y) - 0.55;
}
// Patterns fill the picture.
double level_to_upright_stripes(Point p, double bend) {
  return -0.12 * std::cos(2.5 * std::numbers::pi * turned(p, 90 * bend).y);
}
double checks(Point p, double) {
  constexpr double waves = 1.5 * std::numbers::pi;
  return -0.2 * std::cos(waves * p.x) * std::cos(waves * p.y);
}

struct ShapeClass {
  const char* name;
  double difficulty;
  double (*shape)(Point, double bend);
  bool far_end;  // bend 1 is this class and 0 its sibling
};

// Frequent classes first. The difficulties are a choice, made not to follow the order. Siblings
// have the same one: otherwise the amount of noise would tell what the shape leaves open.
constexpr std::array<ShapeClass, num_classes> shape_classes{{
    {"disc", 0.85, disc_to_square, false},
    {"square", 0.85, disc_to_square, true},
    {"level-stripes", 0.05, level_to_upright_stripes, false},
    {"plus", 0.55, plus_to_cross, false},
    {"triangle", 0.1, triangle, false},
    {"ring", 0.7, ring_to_frame, false},
    {"cross", 0.55, plus_to_cross, true},
    {"frame", 0.7, ring_to_frame, true},
    {"checks", 0.0, checks, false},
    {"upright-stripes", 0.05, level_to_upright_stripes, true},
}};

double mix(double easy, double hard, double difficulty) {
  return easy + (hard - easy) * difficulty;
}

// The random numbers of one image, one after the other.
class Draws {
 public:
  Draws(std::uint64_t seed, std::uint32_t part, std::int64_t record)
      : stream_(seed, Purpose::synthetic, std::uint32_t(record), part) {}
  double between(double low, double high) { return low + (high - low) * stream_.uniform(next_++); }
  // Four roughly normal values of standard deviation 1: sums of the four bytes of a word.
  std::array<double, 4> normals() {
    constexpr double mean = 2 * 255, deviation = 147.8;  // sqrt(4 (256^2 - 1) / 12)
    std::array<double, 4> out;
    const auto words = stream_.block(next_++);
    for (std::size_t i = 0; i < 4; ++i) {
      const std::uint32_t w = words[i];
      const std::uint32_t sum = (w & 255) + ((w >> 8) & 255) + ((w >> 16) & 255) + (w >> 24);
      out[i] = (double(sum) - mean) / deviation;
    }
    return out;
  }

 private:
  RandomStream stream_;
  std::uint64_t next_ = 0;
};

using Colour = std::array<double, 3>;
using Canvas = std::array<Colour, side * side>;

// Centre of pixel (x, y) in image coordinates, [-1, 1].
Point pixel_centre(std::int64_t x, std::int64_t y) {
  return {(double(x) + 0.5) * 2 / side - 1, (double(y) + 0.5) * 2 / side - 1};
}

// Blends `colour` over the canvas where `inside(point)` is negative; `pixels_per_unit` converts
// its slope to pixels, for edges one pixel wide.
template <class Inside>
void paint(Canvas& canvas, const Colour& colour, double pixels_per_unit, const Inside& inside) {
  for (std::int64_t y = 0; y < side; ++y) {
    for (std::int64_t x = 0; x < side; ++x) {
      const double d = inside(pixel_centre(x, y)) * pixels_per_unit;
      const double cover = std::clamp(0.5 - d, 0.0, 1.0);
      Colour& pixel = canvas[std::size_t(y * side + x)];
      for (std::size_t c = 0; c < 3; ++c) pixel[c] += cover * (colour[c] - pixel[c]);
    }
  }
}

void draw_image(const ShapeClass& kind, Draws& draws, std::uint8_t* out) {
  const double difficulty = kind.difficulty;
  // A background, and a foreground away from it, lighter or darker; the hue tells nothing.
  const double contrast = mix(0.75, 0.4, difficulty);
  const double sign = draws.between(0, 1) < 0.5 ? -1 : 1;
  Colour background, foreground, mark;
  for (std::size_t c = 0; c < 3; ++c) {
    const double middle = draws.between(0.4, 0.6);
    const double half = sign * contrast * draws.between(0.35, 0.6);
    background[c] = middle - half;
    foreground[c] = middle + half;
    mark[c] = middle + 0.5 * half;
  }
  Canvas canvas;
  canvas.fill(background);

  const Point centre{draws.between(-0.2, 0.2), draws.between(-0.2, 0.2)};
  const double radius = draws.between(0.5, 0.75), tilt = draws.between(-8, 8);
  // Density falling to 0 at the reach, so that siblings meet gradually: no prior hides the errors.
  const double reach = 1.1 * difficulty;
  const double bent = std::min(1.0, reach * (1 - std::sqrt(draws.between(0, 1))));
  const double bend = kind.far_end ? 1 - bent : bent;
  paint(canvas, foreground, radius * side / 2, [&](Point p) {
    return kind.shape(turned({(p.x - centre.x) / radius, (p.y - centre.y) / radius}, tilt), bend);
  });

  const int marks = int(std::lround(5 * difficulty));
  for (int i = 0; i < marks; ++i) {
    const Point at{draws.between(-1, 1), draws.between(-1, 1)};
    const double length = draws.between(0.1, 0.4), angle = draws.between(0, 180);
    paint(canvas, mark, side / 2.0, [&](Point p) {
      const Point q = turned({p.x - at.x, p.y - at.y}, angle);
      return std::max(std::abs(q.x) - length, std::abs(q.y) - 0.06);
    });
  }

  const double noise = mix(0.02, 0.13, difficulty);
  std::array<double, 4> normals{};
  for (std::size_t i = 0; i < std::size_t(side * side * 3); ++i) {
    if (i % 4 == 0) normals = draws.normals();
    const double value = canvas[i / 3][i % 3] + noise * normals[i % 4];
    out[i] = std::uint8_t(std::lround(255 * std::clamp(value, 0.0, 1.0)));
  }
}

ImageSet draw_set(std::uint64_t seed, std::uint32_t part, std::int64_t per_class) {
  ImageSet set;
  set.height = set.width = side;
  const std::int64_t count = per_class * num_classes;
  set.pixels.resize(std::size_t(count * set.image_bytes()));
  for (std::int64_t i = 0; i < count; ++i) set.labels.push_back(i % num_classes);
#pragma omp parallel for schedule(static)
  for (std::int64_t i = 0; i < count; ++i) {
    Draws draws(seed, part, i);
    draw_image(shape_classes[std::size_t(i % num_classes)], draws,
               set.pixels.data() + i * set.image_bytes());
  }
  return set;
}

}  // namespace

std::vector<std::string> synthetic_names() {
  return {"shapes"};
}

DataSource make_synthetic(std::string_view name, std::uint64_t seed, SyntheticSize size) {
  require(name == "shapes", "synthetic: expected one of {}, got {}",
          fmt::join(synthetic_names(), ", "), name);
  require(size.train_per_class >= 1 && size.test_per_class >= 1,
          "synthetic: expected at least one image per class, got {} and {}", size.train_per_class,
          size.test_per_class);
  DataSource source;
  source.name = "synthetic:shapes";
  source.format = DataSource::Format::synthetic;
  source.train = draw_set(seed, 0, size.train_per_class);
  source.test = draw_set(seed, 1, size.test_per_class);
  for (const ShapeClass& kind : shape_classes) {
    source.class_names.emplace_back(kind.name);
    source.difficulty.push_back(kind.difficulty);
  }
  return source;
}

}  // namespace ek
