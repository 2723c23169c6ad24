package chardev

import (
	"fmt"
	"os"

	"goemu/internal/fdset"
)

// logFile gets a copy of a backend's output.
type logFile struct{ f *os.File }

func openLog(path string, appendTo bool) (*logFile, error) {
	flags := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	if appendTo {
		flags = os.O_WRONLY | os.O_CREATE | os.O_APPEND
	}
	f, err := openFileOrSet(path, flags)
	if err != nil {
		return nil, fmt.Errorf("Could not create '%s': %s", path, reason(err))
	}
	return &logFile{f}, nil
}

// write appends; a full disk loses log lines and nothing else.
func (l *logFile) write(p []byte) { _, _ = l.f.Write(p) }

func (l *logFile) close() { l.f.Close() }

// openFileOrSet opens a file that may be a descriptor of a set (/dev/fdset/N).
func openFileOrSet(path string, flags int) (*os.File, error) {
	fd, err := fdset.Default.Open(path, flags, 0o666)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}
