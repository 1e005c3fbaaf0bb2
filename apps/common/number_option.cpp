#include "apps/common/number_option.h"

#include "engine/io/number.h"

namespace ek {

CLI::Option* add_integer(CLI::App& app, const std::string& name,
                         std::function<void(std::int64_t)> set, const std::string& doc,
                         Limits<std::int64_t> limits) {
  const auto read = [name, limits, set = std::move(set)](const std::string& text) {
    set(parse_integer(text, name, limits.least, limits.most));
  };
  return app.add_option_function<std::string>(name, read, doc)->type_name("N");
}

CLI::Option* add_unsigned(CLI::App& app, const std::string& name,
                          std::function<void(std::uint64_t)> set, const std::string& doc) {
  const auto read = [name, set = std::move(set)](const std::string& text) {
    set(parse_unsigned(text, name));
  };
  return app.add_option_function<std::string>(name, read, doc)->type_name("N");
}

CLI::Option* add_real(CLI::App& app, const std::string& name, std::function<void(double)> set,
                      const std::string& doc, Limits<double> limits) {
  const auto read = [name, limits, set = std::move(set)](const std::string& text) {
    set(parse_real(text, name, limits.least, limits.most));
  };
  return app.add_option_function<std::string>(name, read, doc)->type_name("X");
}

}  // namespace ek
