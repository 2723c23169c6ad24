package rng

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// DefaultFile is where the object rng-random reads from unless told otherwise.
const DefaultFile = "/dev/urandom"

// Source is an object of type rng-random or rng-builtin.
type Source struct {
	id   string
	file *os.File // nil: the process's own generator
}

// NewBuiltin makes an rng-builtin.
func NewBuiltin(id string) *Source { return &Source{id: id} }

// NewRandom makes an rng-random, which reads from a file or device. Error texts are QEMU's.
func NewRandom(id, filename string) (*Source, error) {
	if filename == "" {
		filename = DefaultFile
	}
	f, err := os.OpenFile(filename, os.O_RDONLY, 0)
	if err == nil {
		return &Source{id: id, file: f}, nil
	}
	var no unix.Errno
	if errors.As(err, &no) && no == unix.ENOENT {
		return nil, fmt.Errorf("Could not open '%s': No such file or directory", filename)
	}
	var pe *os.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return nil, fmt.Errorf("Could not open '%s': %w", filename, err)
}

// ID is the object's identifier.
func (s *Source) ID() string { return s.id }

// PropertyType implements qdev.TypeNamer.
func (*Source) PropertyType() string { return "link<rng-backend>" }

// Read fills p.
func (s *Source) Read(p []byte) error {
	if s.file == nil {
		_, err := rand.Read(p)
		return err
	}
	_, err := io.ReadFull(s.file, p)
	return err
}

// Close releases the file.
func (s *Source) Close() {
	if s.file != nil {
		s.file.Close()
	}
}
