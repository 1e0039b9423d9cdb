//! Properties of mapless, each structure against the dullest oracle; see the test targets.
