/* Bodies that a build leaves out, because nothing in it can ask for them, are NULL for its tables.
 * This file leaves out nothing; cmake/HearthLists.cmake writes another for builds that do. */
