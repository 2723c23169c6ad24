// Package img is what tools do with whole images: describe, compare, convert, rebase, commit and measure them. It knows nothing of command
// lines and prints nothing; messages are errors with QEMU's text.
package img
