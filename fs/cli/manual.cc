#include "fs/cli/manual.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <sstream>
#include <string_view>

#include "fs/cli/usage_errors.h"
#include "fs/cli/version.h"

namespace damonfs {

namespace {

// `text` for roff: nothing in it is a request or an escape. Hyphens are those that can be copied.
std::string escaped(std::string_view text) {
  std::string out;
  bool line_begins = true;
  for (const char c : text) {
    if (line_begins && (c == '.' || c == '\'')) out += "\\&";
    line_begins = c == '\n';
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else if (c == '\'') {
      out += "\\(aq";
    } else {
      out += c;
    }
  }
  return out;
}

// Paragraphs of help, of which those that are indented are shown as they are.
std::string paragraphs(const std::string& text) {
  std::string out;
  bool literal = false;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const bool indented = line.starts_with("  ");
    if (indented != literal) out += indented ? ".PP\n.nf\n.RS 4\n" : ".RE\n.fi\n";
    literal = indented;
    if (line.empty()) {
      out += ".PP\n";
    } else {
      out += escaped(indented ? line.substr(2) : line) + '\n';
    }
  }
  if (literal) out += ".RE\n.fi\n";
  return out;
}

std::string sentence(std::string text) {
  if (!text.empty() && !text.ends_with('.')) text += '.';
  return text;
}

std::string page_heading(const std::string& name, const std::string& date) {
  std::string title = name;
  std::ranges::transform(title, title.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  });
  return fmt::format(".TH {} 1 {} \"damonfs {}\" \"User Commands\"\n", escaped(title), date,
                     version_number());
}

std::string names_of(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.get_snames()) names.push_back(escaped('-' + name));
  for (const std::string& name : option.get_lnames()) names.push_back(escaped("--" + name));
  return fmt::format("\\fB{}\\fR", fmt::join(names, "\\fR, \\fB"));
}

// The type of its value; empty for a flag.
std::string type_of(const CLI::Option& option) {
  if (option.get_expected_max() == 0) return {};
  std::string type = option.get_type_name();
  constexpr std::string_view kText = "TEXT:";  // in front of words that can stand there
  return type.starts_with(kText) ? type.substr(kText.size()) : type;
}

std::string option_entry(const CLI::Option& option) {
  std::string entry = ".TP\n";
  if (option.get_positional()) {
    entry += fmt::format("\\fI{}\\fR\n", escaped(option.get_name(true)));
  } else {
    entry += names_of(option);
    if (const std::string type = type_of(option); !type.empty()) {
      entry += fmt::format(" \\fI{}\\fR", escaped(type));
    }
    entry += '\n';
  }
  entry += escaped(sentence(option.get_description()));
  const std::string usual = option.get_default_str();
  if (!usual.empty()) entry += fmt::format(" The default is \\fB{}\\fR.", escaped(usual));
  return entry + '\n';
}

std::string options_section(const CLI::App& command, bool positionals, const char* title) {
  std::string entries;
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_group().empty() || option->get_positional() != positionals) continue;
    entries += option_entry(*option);
  }
  return entries.empty() ? entries : fmt::format(".SH {}\n{}", title, entries);
}

std::string synopsis(const CLI::App& app, const CLI::App& command) {
  std::string line =
      fmt::format(".B {} {}\n[\\fIOPTION\\fR...]", app.get_name(), escaped(command.get_name()));
  for (const CLI::Option* option : command.get_options()) {
    if (!option->get_positional()) continue;
    const std::string name = fmt::format("\\fI{}\\fR", escaped(option->get_name(true)));
    const char* more = option->get_expected_max() > 1 ? "..." : "";
    line += option->get_required() ? fmt::format(" {}{}", name, more)
                                   : fmt::format(" [{}{}]", name, more);
  }
  if (command.get_description().find("-- COMMAND") != std::string::npos) {
    line += " [\\-\\- \\fICOMMAND\\fR [\\fIARGUMENT\\fR...]]";
  }
  return line + '\n';
}

// A sentence of a description, without its end, for the list of names.
std::string in_short(const std::string& description) {
  return description.substr(0, description.find_first_of(":;"));
}

std::string command_page(const CLI::App& app, const CLI::App& command, const std::string& date) {
  const std::string name = app.get_name() + '-' + command.get_name();
  std::string page = page_heading(name, date);
  page += fmt::format(".SH NAME\n{} \\- {}\n", escaped(name),
                      escaped(in_short(command.get_description())));
  page += ".SH SYNOPSIS\n" + synopsis(app, command);
  page += ".SH DESCRIPTION\n" + escaped(sentence(command.get_description())) + '\n';
  page += options_section(command, true, "ARGUMENTS");
  page += options_section(command, false, "OPTIONS");
  if (command.get_footer() != app.get_footer())
    page += ".SH NOTES\n" + paragraphs(command.get_footer());
  page += fmt::format(".SH EXIT STATUS\n{}\n",
                      escaped("0 for success, 1 for a failure, which is told on standard error, 2 "
                              "for wrong usage."));
  page += ".SH SEE ALSO\n.BR damonfs (1),\n.BR damonfs.yaml (5),\n.BR damonfs.pattern (5)\n";
  return page;
}

std::string main_page(const CLI::App& app, const std::string& date) {
  std::string page = page_heading(app.get_name(), date);
  page += ".SH NAME\ndamonfs \\- data access monitoring (DAMON) in user space\n";
  page += ".SH SYNOPSIS\n.B damonfs\n\\fICOMMAND\\fR [\\fIOPTION\\fR...]\n";
  page += ".SH DESCRIPTION\n" + escaped(sentence(app.get_description())) + '\n';
  page += ".SH COMMANDS\n";
  std::string also;
  for (const std::string& name : command_names(app)) {
    const CLI::App& command = *find_command(app, name);
    page += fmt::format(".TP\n\\fB{}\\fR\n{}\n", escaped(name),
                        escaped(sentence(command.get_description())));
    also += fmt::format(".BR damonfs\\-{} (1),\n", escaped(name));
  }
  page += options_section(app, false, "OPTIONS");
  if (!app.get_footer().empty()) page += ".SH NOTES\n" + paragraphs(app.get_footer());
  page += ".SH SEE ALSO\n" + also + ".BR damonfs.yaml (5),\n.BR damonfs.pattern (5)\n";
  return page;
}

}  // namespace

std::vector<ManualPage> manual_pages(const CLI::App& app, const std::string& date) {
  std::vector<ManualPage> pages = {{app.get_name() + ".1", main_page(app, date)}};
  for (const std::string& name : command_names(app)) {
    pages.push_back({fmt::format("{}-{}.1", app.get_name(), name),
                     command_page(app, *find_command(app, name), date)});
  }
  return pages;
}

}  // namespace damonfs
