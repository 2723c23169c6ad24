package block

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"goemu/internal/strerror"
)

// Strerror is the C library's text for an errno.
func Strerror(e unix.Errno) string {
	return strerror.Text(e)
}

// Error is an error with the errno that a caller may act on or print by itself, as QEMU's functions return both.
type Error struct {
	Errno unix.Errno
	Text  string // the whole message
	Hint  string // further lines for people, without the final newline
	Who   string // one more line: what other process is in the way, if that could be found out
}

func (e *Error) Error() string { return e.Text }

// Unwrap gives the errno to errors.Is.
func (e *Error) Unwrap() error { return e.Errno }

// Errorf makes an Error from a format.
func Errorf(e unix.Errno, format string, a ...any) error {
	return &Error{Errno: e, Text: fmt.Sprintf(format, a...)}
}

// Errnof makes an Error whose text ends in the errno's own, as in "Could not open 'x': No such file or directory".
func Errnof(e unix.Errno, format string, a ...any) error {
	return &Error{Errno: e, Text: fmt.Sprintf(format, a...) + ": " + Strerror(e)}
}

// Errno finds the errno in an error; an error without one counts as EINVAL, nil as 0.
func Errno(err error) unix.Errno {
	var e unix.Errno
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return e
	}
	return unix.EINVAL
}

// IsNotSup reports whether a driver declined an operation that the caller may do in another way.
func IsNotSup(err error) bool { return errors.Is(err, unix.ENOTSUP) }

// Prepend puts text before an error's message; errno and hint stay.
func Prepend(err error, text string) error {
	e := &Error{Errno: Errno(err), Text: text + err.Error()}
	var inner *Error
	if errors.As(err, &inner) {
		e.Hint, e.Who = inner.Hint, inner.Who
	}
	return e
}

// HintOf is the hint of an error, or empty.
func HintOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Hint
	}
	return ""
}

// WhoOf is what an error says about the process that is in the way, or empty.
func WhoOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Who
	}
	return ""
}
