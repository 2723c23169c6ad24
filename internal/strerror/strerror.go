// Package strerror has the texts of the host's errors in the C library's spelling, which messages for users of QEMU have.
package strerror

import (
	"errors"
	"strings"
	"syscall"
)

// Text is the text of an errno: Go's with a capital first letter.
func Text(e syscall.Errno) string {
	s := e.Error()
	return strings.ToUpper(s[:1]) + s[1:]
}

// Of is the text of the errno behind an error, or the error's own if there is none.
func Of(err error) string {
	var e syscall.Errno
	if errors.As(err, &e) {
		return Text(e)
	}
	return err.Error()
}
