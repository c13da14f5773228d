# Writes OUT, a header that defines DAMONFS_COMMIT: COMMIT if it is given, else what git says of SOURCE, else "".
# Left alone where nothing has changed, so that nothing is compiled again.
if(NOT COMMIT)
  execute_process(COMMAND git -C "${SOURCE}" rev-parse --short=12 HEAD
    OUTPUT_VARIABLE COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  if(failed)
    set(COMMIT "")
  endif()
endif()
set(text "#define DAMONFS_COMMIT \"${COMMIT}\"\n")
set(old "")
if(EXISTS "${OUT}")
  file(READ "${OUT}" old)
endif()
if(NOT text STREQUAL old)
  file(WRITE "${OUT}" "${text}")
endif()
