// Package hostmem has the objects that stand for memory of the host: memory-backend-ram, memory-backend-file and memory-backend-memfd.
// A machine or a memory device takes the RAM block of one.
package hostmem

import (
	"errors"
	"fmt"
	"math/bits"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"goemu/internal/memory"
	"goemu/internal/strerror"
	"goemu/internal/userobj"
)

type kind int

const (
	anonymous kind = iota
	file
	memfd
)

func (k kind) name() string {
	return []string{"memory-backend-ram", "memory-backend-file", "memory-backend-memfd"}[k]
}

// maxNode is the highest number of a NUMA node of the host.
const maxNode = 127

// Backend is memory of the host.
type Backend struct {
	id   string
	kind kind

	size, threads                                   uint64
	dump, merge, prealloc, reserve, share, longName bool
	policy                                          string
	nodes                                           [2]uint64 // a bit for each

	path              string // of a file
	align             uint64
	discard, readOnly bool
	huge, seal        bool // of a memfd
	hugeSize          uint64

	block *memory.RAMBlock
	taken bool
}

// ID is the object's identifier.
func (b *Backend) ID() string { return b.id }

// PropertyType is the type of properties that name a backend.
func (*Backend) PropertyType() string { return "link<memory-backend>" }

// Size is the number of bytes.
func (b *Backend) Size() uint64 { return b.size }

// Shared tells whether other processes may see the memory.
func (b *Backend) Shared() bool { return b.share }

// Take gives the memory to its one user.
func (b *Backend) Take() (*memory.RAMBlock, error) {
	if b.taken {
		return nil, fmt.Errorf("can't use already busy memdev: %s", b.id)
	}
	b.taken = true
	return b.block, nil
}

// hugePage is the alignment of memory of no file, so that the host can use large pages for it.
const hugePage = 2 << 20

// Alignment is that of the memory in the host, which a guest's address should have, too.
func (b *Backend) Alignment() uint64 {
	if b.kind == anonymous {
		return max(hugePage, b.block.HostPageSize())
	}
	return max(b.align, b.block.HostPageSize())
}

// Release takes the memory back from its user.
func (b *Backend) Release() { b.taken = false }

// InUse implements userobj.InUse.
func (b *Backend) InUse() bool { return b.taken }

// Policy is how the host's NUMA nodes are used.
func (b *Backend) Policy() string { return b.policy }

// Nodes are the host's NUMA nodes that the memory comes from.
func (b *Backend) Nodes() (list []uint16) {
	for i := range uint16(maxNode + 1) {
		if b.nodes[i/64]>>(i%64)&1 != 0 {
			list = append(list, i)
		}
	}
	return list
}

// Flags are the switches of a backend.
type Flags struct{ Merge, Dump, Prealloc, Share, Reserve bool }

// Flags are the backend's switches.
func (b *Backend) Flags() Flags { return Flags{b.merge, b.dump, b.prealloc, b.share, b.reserve} }

func (b *Backend) nodeList() any {
	list := []any{}
	for _, n := range b.Nodes() {
		list = append(list, int64(n))
	}
	return list
}

func (b *Backend) setNodes(v any) error {
	list, ok := v.([]any)
	if !ok {
		return errors.New("Invalid parameter type for 'host-nodes', expected: array")
	}
	for _, e := range list {
		n, err := userobj.Take[uint64]("host-nodes", e)
		switch {
		case err != nil:
			return err
		case n > maxNode:
			return fmt.Errorf("Invalid host-nodes value: %d", n)
		}
		b.nodes[n/64] |= 1 << (n % 64)
	}
	return nil
}

// advise tells the host what a switch says once the memory is there.
func (b *Backend) advise(old, v bool, yes, no int) {
	if b.block != nil && old != v {
		if !v {
			yes = no
		}
		_ = b.block.Advise(yes) // a hint only
	}
}

func (b *Backend) setDump(v bool) error {
	b.advise(b.dump, v, unix.MADV_DODUMP, unix.MADV_DONTDUMP)
	return nil
}

func (b *Backend) setMerge(v bool) error {
	b.advise(b.merge, v, unix.MADV_MERGEABLE, unix.MADV_UNMERGEABLE)
	return nil
}

func (b *Backend) setPrealloc(v bool) error {
	switch {
	case v && !b.reserve:
		return errors.New("'prealloc=on' and 'reserve=off' are incompatible")
	case v && !b.prealloc && b.block != nil:
		return b.populate()
	}
	return nil
}

// Complete implements userobj.Object: it maps the memory.
func (b *Backend) Complete() (err error) {
	if b.size == 0 {
		return errors.New("can't create backend with size 0")
	}
	if err := b.mapMemory(); err != nil {
		return err
	}
	b.advise(false, b.merge, unix.MADV_MERGEABLE, 0)
	b.advise(true, b.dump, 0, unix.MADV_DONTDUMP)
	if err := b.bind(); err != nil {
		return err
	}
	if b.prealloc {
		return b.populate()
	}
	return nil
}

// name is the block's name in migration streams.
func (b *Backend) name() string {
	if b.longName {
		return "/objects/" + b.id
	}
	return b.id
}

func (b *Backend) mapMemory() (err error) {
	m := memory.Mapping{FD: -1, Shared: b.share, NoReserve: !b.reserve, ReadOnly: b.readOnly, Align: b.align}
	var f *os.File
	switch b.kind {
	case anonymous:
		b.size = (b.size + memory.PageSize - 1) &^ (memory.PageSize - 1)
	case file:
		f, err = b.openFile()
	case memfd:
		f, err = b.makeMemfd()
	}
	if err != nil {
		return err
	}
	if f != nil {
		defer f.Close()
		m.FD = int(f.Fd())
		if m.PageSize, err = b.fit(f); err != nil {
			return err
		}
	}
	if b.block, err = memory.MapRAMBlock(b.name(), b.size, m); err != nil {
		if f != nil {
			return fmt.Errorf("unable to map backing store for guest RAM: %s", strerror.Of(err))
		}
		return err
	}
	return nil
}

// openFile opens or makes the file; a folder gets a temporary one.
func (b *Backend) openFile() (*os.File, error) {
	flags := os.O_RDWR
	if b.readOnly {
		flags = os.O_RDONLY
	}
	f, err := os.OpenFile(b.path, flags, 0)
	switch {
	case errors.Is(err, os.ErrNotExist) && !b.readOnly:
		f, err = os.OpenFile(b.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	case errors.Is(err, unix.EISDIR):
		if f, err = os.CreateTemp(b.path, "qemu_back_mem."+strings.ReplaceAll(b.id, "/", "_")+".*"); err == nil {
			err = os.Remove(f.Name())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("can't open backing store %s for guest RAM: %s", b.path, strerror.Of(err))
	}
	return f, nil
}

func (b *Backend) makeMemfd() (*os.File, error) {
	flags := unix.MFD_CLOEXEC
	if b.seal {
		flags |= unix.MFD_ALLOW_SEALING
	}
	if b.huge {
		flags |= unix.MFD_HUGETLB
		if b.hugeSize != 0 {
			if b.hugeSize&(b.hugeSize-1) != 0 {
				return nil, errors.New("Hugepage size must be a power of 2")
			}
			flags |= bits.TrailingZeros64(b.hugeSize) << unix.MFD_HUGE_SHIFT
		}
	}
	fd, err := unix.MemfdCreate(b.kind.name(), flags)
	if err != nil {
		return nil, fmt.Errorf("failed to create memfd with flags 0x%x: %s", flags, strerror.Of(err))
	}
	f := os.NewFile(uintptr(fd), b.kind.name())
	if err := f.Truncate(int64(b.size)); err != nil {
		f.Close()
		return nil, fmt.Errorf("failed to resize memfd to %d: %s", b.size, strerror.Of(err))
	}
	if b.seal {
		const seals = unix.F_SEAL_GROW | unix.F_SEAL_SHRINK | unix.F_SEAL_SEAL
		if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
			f.Close()
			return nil, fmt.Errorf("failed to add seals 0x%x: %s", seals, strerror.Of(err))
		}
	}
	return f, nil
}

// fit checks the size of a file against what is wanted, makes an empty one as large as that, and returns the size of its pages.
func (b *Backend) fit(f *os.File) (page uint64, err error) {
	page = memory.PageSize
	var st unix.Statfs_t
	if unix.Fstatfs(int(f.Fd()), &st) == nil && st.Type == unix.HUGETLBFS_MAGIC {
		page = uint64(st.Bsize)
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if b.align%page != 0 {
		return 0, fmt.Errorf("alignment 0x%x must be multiples of page size 0x%x", b.align, page)
	}
	if b.align&(b.align-1) != 0 {
		return 0, fmt.Errorf("alignment 0x%x must be a power of two", b.align)
	}
	whole := (b.size + page - 1) &^ (page - 1)
	switch have := uint64(info.Size()); {
	case !info.Mode().IsRegular():
	case have != 0 && have < whole:
		return 0, fmt.Errorf("backing store size 0x%x does not match 'size' option 0x%x", have, whole)
	case have == 0 && !b.readOnly:
		if err := f.Truncate(int64(whole)); err != nil {
			return 0, fmt.Errorf("cannot resize backing store %s for guest RAM: %s", filepath.Base(f.Name()), strerror.Of(err))
		}
	}
	if b.size < page {
		return 0, fmt.Errorf("memory size 0x%x must be equal to or larger than page size 0x%x", b.size, page)
	}
	b.size = whole
	return page, nil
}

// policies are the kernel's numbers of the policies.
var policies = map[string]int{"default": 0, "preferred": 1, "bind": 2, "interleave": 3}

func (b *Backend) bind() error {
	none := b.nodes == [2]uint64{}
	switch {
	case !none && b.policy == "default":
		return errors.New("host-nodes must be empty for policy default, or you should explicitly specify a policy other than default")
	case none && b.policy != "default":
		return fmt.Errorf("host-nodes must be set for policy %s", b.policy)
	case none:
		return nil
	}
	if err := b.block.Bind(policies[b.policy], b.nodes[:]); err != nil {
		return fmt.Errorf("cannot bind memory to host NUMA nodes: %s", strerror.Of(err))
	}
	return nil
}

// populate makes the host provide all of the memory now.
func (b *Backend) populate() error {
	n := max(b.threads, 1)
	part := (b.size/n + memory.PageSize - 1) &^ (memory.PageSize - 1)
	part = (part + b.block.HostPageSize() - 1) &^ (b.block.HostPageSize() - 1)
	errs := make(chan error, n)
	var wg sync.WaitGroup
	for off := uint64(0); off < b.size; off += part {
		wg.Go(func() { errs <- b.block.Populate(off, part) })
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return errors.New("qemu_prealloc_mem: preallocating memory failed: " + strerror.Of(err))
		}
	}
	return nil
}

// Close implements userobj.Object.
func (b *Backend) Close() {
	if b.block == nil || b.taken { // whoever uses it still may
		return
	}
	if b.discard && b.share {
		_ = b.block.Advise(unix.MADV_REMOVE)
	}
	_ = b.block.Free() // nothing more can be done about it
	b.block = nil
}
