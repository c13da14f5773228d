# Where things go when damonfs is installed (FHS), and what the build makes for that: manual pages of the same texts as
# --help, and of docs/.
include(GNUInstallDirs)

set(DAMONFS_UNIT_DIR "lib/systemd/system" CACHE STRING "Where the systemd unit goes; empty: it is not installed")
set(DAMONFS_BASH_COMPLETION_DIR "${CMAKE_INSTALL_DATADIR}/bash-completion/completions" CACHE STRING "For bash")
set(DAMONFS_ZSH_COMPLETION_DIR "${CMAKE_INSTALL_DATADIR}/zsh/site-functions" CACHE STRING "For zsh")
set(DAMONFS_FISH_COMPLETION_DIR "${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d" CACHE STRING "For fish")

install(TARGETS damonfs RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES LICENSE README.md CHANGELOG.md SECURITY.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs FILES_MATCHING PATTERN "*.md" PATTERN "*.png")
install(DIRECTORY examples/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
install(FILES scripts/completion/damonfs.bash DESTINATION ${DAMONFS_BASH_COMPLETION_DIR} RENAME damonfs)
install(FILES scripts/completion/_damonfs DESTINATION ${DAMONFS_ZSH_COMPLETION_DIR})
install(FILES scripts/completion/damonfs.fish DESTINATION ${DAMONFS_FISH_COMPLETION_DIR})

# The unit names the program by its path.
if(DAMONFS_UNIT_DIR)
  install(CODE "
    file(READ \"${PROJECT_SOURCE_DIR}/scripts/damonfs.service\" unit)
    string(REPLACE /usr/local/bin/damonfs \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}/damonfs\" unit \"\${unit}\")
    file(WRITE \"${PROJECT_BINARY_DIR}/damonfs.service\" \"\${unit}\")
    file(INSTALL \"${PROJECT_BINARY_DIR}/damonfs.service\" DESTINATION \"\${CMAKE_INSTALL_PREFIX}/${DAMONFS_UNIT_DIR}\")")
endif()

# Manual pages. A program for another machine is not run here.
set(manual ${PROJECT_BINARY_DIR}/manual)
file(MAKE_DIRECTORY ${manual})
string(TIMESTAMP today "%Y-%m-%d" UTC) # SOURCE_DATE_EPOCH, where that is set
find_program(LOWDOWN lowdown)
set(pages)
if(NOT CMAKE_CROSSCOMPILING OR CMAKE_CROSSCOMPILING_EMULATOR)
  add_custom_command(OUTPUT ${manual}/damonfs.1 COMMAND damonfs __manual ${manual} ${today} DEPENDS damonfs
    COMMENT "Writing manual pages of commands" VERBATIM)
  list(APPEND pages ${manual}/damonfs.1)
endif()
if(LOWDOWN)
  foreach(page "damonfs.yaml=configuration" "damonfs.pattern=pattern")
    string(REPLACE "=" ";" page ${page})
    list(GET page 0 name)
    list(GET page 1 source)
    add_custom_command(OUTPUT ${manual}/${name}.5
      COMMAND ${CMAKE_COMMAND} -DLOWDOWN=${LOWDOWN} -DNAME=${name} -DDATE=${today} -DIN=${PROJECT_SOURCE_DIR}/docs/${source}.md
              -DOUT=${manual}/${name}.5 -P ${PROJECT_SOURCE_DIR}/cmake/page.cmake
      DEPENDS docs/${source}.md cmake/page.cmake COMMENT "Writing ${name}(5)" VERBATIM)
    list(APPEND pages ${manual}/${name}.5)
  endforeach()
else()
  message(STATUS "no lowdown: damonfs.yaml(5) and damonfs.pattern(5) are not made")
endif()
add_custom_target(manual ALL DEPENDS ${pages})
install(DIRECTORY ${manual}/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 FILES_MATCHING PATTERN "*.1")
install(DIRECTORY ${manual}/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man5 FILES_MATCHING PATTERN "*.5")
