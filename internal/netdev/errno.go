package netdev

import (
	"errors"
	"strings"
	"syscall"
)

// Reason is the text of the errno behind an error, as the C library has it.
func Reason(err error) string {
	var e syscall.Errno
	if !errors.As(err, &e) {
		return err.Error()
	}
	s := e.Error()
	return strings.ToUpper(s[:1]) + s[1:]
}
