package memory

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Mapping says where the bytes of a RAM block come from.
type Mapping struct {
	FD        int  // a file, which may be closed afterwards; -1 for anonymous memory
	Shared    bool // with whoever else maps the file, or with child processes
	ReadOnly  bool
	NoReserve bool   // swap space is not reserved
	Align     uint64 // of the address: a power of two, 0 for the page size
	PageSize  uint64 // of the host's pages behind the mapping: 0 for PageSize
}

// MapRAMBlock maps size bytes of memory.
func MapRAMBlock(name string, size uint64, m Mapping) (*RAMBlock, error) {
	page := max(m.PageSize, PageSize)
	align := max(m.Align, page)
	mapped := (size + page - 1) &^ (page - 1)
	fail := func(err error) error {
		return fmt.Errorf("cannot set up guest memory '%s': %w", name, os.NewSyscallError("mmap", err))
	}
	// A larger range is taken first, so that an aligned part of it can be used.
	whole, err := unix.MmapPtr(-1, 0, nil, uintptr(mapped+align), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fail(err)
	}
	before := -uint64(uintptr(whole)) & (align - 1)
	at := unsafe.Add(whole, before)
	prot, flags := unix.PROT_READ|unix.PROT_WRITE, unix.MAP_FIXED
	if m.ReadOnly {
		prot = unix.PROT_READ
	}
	if m.Shared {
		flags |= unix.MAP_SHARED
	} else {
		flags |= unix.MAP_PRIVATE
	}
	if m.NoReserve {
		flags |= unix.MAP_NORESERVE
	}
	if m.FD < 0 {
		flags |= unix.MAP_ANON
	}
	if _, err := unix.MmapPtr(m.FD, 0, at, uintptr(mapped), prot, flags); err != nil {
		_ = unix.MunmapPtr(whole, uintptr(mapped+align))
		return nil, fail(err)
	}
	if before != 0 {
		_ = unix.MunmapPtr(whole, uintptr(before))
	}
	_ = unix.MunmapPtr(unsafe.Add(at, mapped), uintptr(align-before))
	b := unsafe.Slice((*byte)(at), mapped)
	if m.FD < 0 {
		_ = unix.Madvise(b, unix.MADV_HUGEPAGE) // a hint only
	}
	r := &RAMBlock{name: name, bytes: b[:size:size], mapped: mapped, pageSize: page, shared: m.Shared, anonymous: m.FD < 0 && !m.Shared, file: -1}
	if m.FD >= 0 && m.Shared {
		if r.file, err = unix.FcntlInt(uintptr(m.FD), unix.F_DUPFD_CLOEXEC, 0); err != nil {
			_ = unix.MunmapPtr(at, uintptr(mapped))
			return nil, fail(err)
		}
	}
	r.code = make([]atomic.Uint64, r.words())
	return r, nil
}

// Retire makes Free keep the addresses: memory that a guest lets go of while it runs may yet be reached through addresses that a CPU
// remembers for a moment.
func (r *RAMBlock) Retire() { r.retired = true }

// Free unmaps the memory; nothing may use it afterwards.
func (r *RAMBlock) Free() error {
	b := r.bytes
	r.bytes = nil
	if r.file >= 0 {
		_ = unix.Close(r.file)
		r.file = -1
	}
	if r.retired { // other memory, which takes no room unless it is written to
		_, err := unix.MmapPtr(-1, 0, unsafe.Pointer(unsafe.SliceData(b)), uintptr(r.mapped), unix.PROT_READ|unix.PROT_WRITE,
			unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE|unix.MAP_FIXED)
		return err
	}
	return unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(b)), uintptr(r.mapped))
}

// HostPageSize is the size of the host's pages behind the block.
func (r *RAMBlock) HostPageSize() uint64 { return r.pageSize }

// Shared tells whether others see what is written to the block.
func (r *RAMBlock) Shared() bool { return r.shared }

// File is the file that the block is, which others can map, too; ok is false if there is none.
func (r *RAMBlock) File() (fd int, ok bool) { return r.file, r.file >= 0 }

// Advise gives the host a hint (MADV_…) about the whole block.
func (r *RAMBlock) Advise(advice int) error { return unix.Madvise(r.wholeMapping(), advice) }

// wholeMapping is the block with the rest of its last page.
func (r *RAMBlock) wholeMapping() []byte { return unsafe.Slice(unsafe.SliceData(r.bytes), r.mapped) }

// Bind makes the host take the block's pages from NUMA nodes, a bit for each, by a policy (MPOL_…).
func (r *RAMBlock) Bind(policy int, nodes []uint64) error {
	const mpolMFStrict, mpolMFMove = 1, 2
	bits := 64*len(nodes) + 1 // the kernel leaves one out
	nodes = append(nodes, 0)
	_, _, e := unix.Syscall6(unix.SYS_MBIND, uintptr(r.Host()), uintptr(r.mapped), uintptr(policy), uintptr(unsafe.Pointer(&nodes[0])), uintptr(bits), mpolMFStrict|mpolMFMove)
	if e != 0 {
		return e
	}
	return nil
}

// Populate makes the host put memory behind every page of [off, off+n), whose contents stay as they are.
func (r *RAMBlock) Populate(off, n uint64) error {
	part := r.wholeMapping()[off:min(off+n, r.mapped)]
	err := unix.Madvise(part, unix.MADV_POPULATE_WRITE)
	if err != unix.EINVAL { // a kernel before 5.14
		return err
	}
	for i := uint64(0); i < uint64(len(part)); i += r.HostPageSize() {
		atomic.AddUint32((*uint32)(unsafe.Pointer(&part[i])), 0)
	}
	return nil
}
