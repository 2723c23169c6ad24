package loader

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// errInvalidKernel is the answer to a file of no known format, or one cut short.
var errInvalidKernel = errors.New("invalid kernel header")

// mapping is a file mapped read-only.
type mapping struct{ data []byte }

// Close unmaps the file.
func (m mapping) Close() error {
	if m.data == nil {
		return nil
	}
	return unix.Munmap(m.data)
}

// mapFile maps a whole regular file; step names the call that failed.
func mapFile(name string) (m mapping, step string, err error) {
	f, err := os.Open(name)
	if err != nil {
		return m, "open", err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return m, "stat", err
	}
	if st.IsDir() {
		return m, "read", syscall.EISDIR
	}
	if st.Size() == 0 {
		return m, "", nil
	}
	if int64(int(st.Size())) != st.Size() {
		return m, "mmap", syscall.EFBIG
	}
	m.data, err = unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_PRIVATE)
	return m, "mmap", err
}

// reason is strerror's text: Go's without the path, with a capital first letter.
func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	s := err.Error()
	if s != "" && s[0] >= 'a' && s[0] <= 'z' {
		s = string(s[0]-'a'+'A') + s[1:]
	}
	return s
}

// openKernel maps the kernel file.
func openKernel(name string) (mapping, error) {
	m, step, err := mapFile(name)
	switch {
	case err != nil && step == "open":
		return m, fmt.Errorf("could not open kernel file '%s': %s", name, reason(err))
	case err != nil:
		return m, fmt.Errorf("could not load kernel '%s': %s", name, reason(err))
	case len(m.data) == 0:
		return m, fmt.Errorf("could not load kernel '%s': the file is empty", name)
	}
	return m, nil
}

// openInitrd maps an initial RAM disk and keeps it with the image.
func (im *Image) openInitrd(name string) ([]byte, error) {
	m, step, err := mapFile(name)
	switch {
	case err != nil && step == "open":
		return nil, fmt.Errorf("error reading initrd %s: Failed to open file “%s”: open() failed: %s", name, name, reason(err))
	case err != nil:
		return nil, fmt.Errorf("error reading initrd %s: %s", name, reason(err))
	}
	im.files = append(im.files, m)
	return m.data, nil
}
