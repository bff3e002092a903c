# Writes the commit that is being built into a header, and touches it only when it changes.
#   cmake -DSOURCE=dir -DHEADER=file -P commit.cmake
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=8 --exclude=*
                OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT commit)
  set(commit unknown)
endif()
file(CONFIGURE OUTPUT ${HEADER} CONTENT "#define HC_COMMIT \"${commit}\"\n")
