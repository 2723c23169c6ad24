package block

import (
	"errors"
	"sync/atomic"
)

// Mover brings bytes from one place to another, inside the host for as long as that works. Its methods may be called from many goroutines.
type Mover struct {
	buffers *Buffers
	vain    atomic.Bool // the host does not copy between these two
}

// NewMover makes a mover whose pieces are of size bytes at most.
func NewMover(size int64) *Mover { return &Mover{buffers: NewBuffers(size)} }

// Move lets host copy n bytes, a CopyRange, or else read and write do it by way of a buffer, of which the error is: what the host's error was
// does not matter, reading and writing tell which side fails. readFailed tells whether it was the reading.
func (m *Mover) Move(n int64, host func() error, read, write func(b []byte) error) (readFailed bool, err error) {
	if !m.vain.Load() {
		err := host()
		if err == nil {
			return false, nil
		}
		if !errors.Is(err, ErrUnmapped) {
			m.vain.Store(true)
		}
	}
	return m.Through(n, read, write)
}

// Through moves n bytes by way of a buffer.
func (m *Mover) Through(n int64, read, write func(b []byte) error) (readFailed bool, err error) {
	b := m.buffers.Get(n)
	defer m.buffers.Put(b)
	if err := read(b); err != nil {
		return true, err
	}
	return false, write(b)
}
