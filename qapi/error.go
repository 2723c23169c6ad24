package qapi

import (
	"errors"
	"fmt"
)

// Error is the failure of a command as a client sees it.
type Error struct {
	Class ErrorClass
	Desc  string
}

func (e *Error) Error() string { return e.Desc }

// Errorf makes a GenericError.
func Errorf(format string, a ...any) *Error {
	return &Error{Class: QapiErrorClassGenericError, Desc: fmt.Sprintf(format, a...)}
}

// ErrorClass is the type of an error's class.
type ErrorClass = QapiErrorClass

// ErrorOf is the form in which a client sees err: its *Error, or a GenericError with its text.
func ErrorOf(err error) *Error {
	var e *Error
	if errors.As(err, &e) && e.Desc == err.Error() {
		return e
	}
	if e != nil {
		return &Error{Class: e.Class, Desc: err.Error()}
	}
	return &Error{Class: QapiErrorClassGenericError, Desc: err.Error()}
}
