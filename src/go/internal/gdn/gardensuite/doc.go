// Package gardensuite judges a running server as Garden's own integration tests do, through a
// client that speaks as Garden's does. Its tests have the build tag garden, and run beside the
// server, as root: tests/boot/test_garden_suite.py brings them into a machine.
package gardensuite
