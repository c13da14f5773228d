# Makes OUT, the manual page NAME(5), of the Markdown document IN: its first heading becomes the line of NAME.
file(READ "${IN}" text)
string(REGEX MATCH "^# ([^\n]*)\n" heading "${text}")
set(title "${CMAKE_MATCH_1}")
string(LENGTH "${heading}" length)
string(SUBSTRING "${text}" ${length} -1 text)
string(REGEX REPLACE "\\[([^]\n]*)\\]\\([^)\n]*\\)" "\\1" text "${text}") # links lead nowhere in a page
file(WRITE "${OUT}.md" "# NAME\n\n${NAME} - ${title}\n\n# DESCRIPTION\n${text}")
execute_process(COMMAND ${LOWDOWN} -s -Tman -m "title:${NAME}" -m section:5 -m "date:${DATE}" -m volume:damonfs
  -o "${OUT}" "${OUT}.md" COMMAND_ERROR_IS_FATAL ANY)
file(REMOVE "${OUT}.md")
# Headings in one line, as mandb reads them.
file(READ "${OUT}" text)
string(REPLACE ".SH\n" ".SH " text "${text}")
string(REPLACE " --" " \\-\\-" text "${text}")
string(REPLACE ".SS\n" ".SS " text "${text}")
string(REPLACE ".SH NAME\n.LP\n${NAME} - " ".SH NAME\n${NAME} \\- " text "${text}")
file(WRITE "${OUT}" "${text}")
