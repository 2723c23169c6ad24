package main

import (
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"goemu/internal/config"
	"goemu/internal/fdset"
)

// addFDs puts descriptors that the process was started with into sets, as -add-fd asks for.
func addFDs(list []config.Options) error {
	for _, o := range list {
		if err := addFD(o); err != nil {
			return at(o.Origin, err)
		}
	}
	for _, o := range list {
		if fd, err := number(o, "fd"); err == nil {
			_ = unix.Close(fd) // the sets have copies
		}
	}
	return nil
}

func number(o config.Options, name string) (int, error) {
	v, _ := o.Get(name)
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 {
		return -1, fmt.Errorf("%s option is required and must be non-negative", name)
	}
	return n, nil
}

func addFD(o config.Options) error {
	const stderr = 2
	fd, err := number(o, "fd")
	if err != nil {
		return err
	}
	if fd <= stderr {
		return errors.New("fd cannot be a standard I/O stream")
	}
	set, err := number(o, "set")
	if err != nil {
		return err
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC != 0 {
		return errors.New("fd is not valid or already in use")
	}
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("error duplicating fd: %w", err)
	}
	opaque, _ := o.Get("opaque")
	fdset.Default.Add(int64(set), dup, opaque)
	return nil
}

// object finds a user-created object by its identifier.
func (s *session) object(id string) any { return s.host.objects.Find(id) }
