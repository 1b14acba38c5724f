"""The operator's levers on a running embedded system: dead letters, replay, garbage collection, over HTTP."""
