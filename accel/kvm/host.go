package kvm

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"goemu/target/x86"
)

// devicePath is where the kernel offers virtual machines.
const devicePath = "/dev/kvm"

const errInvalid = unix.EINVAL

// InitError says why there is no virtual machine: what the kernel said, and to what.
type InitError struct {
	Errno  unix.Errno
	Detail string
}

func (e *InitError) Error() string {
	return fmt.Sprintf("failed to initialize kvm: %s (%s)", describe(e.Errno), e.Detail)
}

// Unwrap returns the kernel's number.
func (e *InitError) Unwrap() error { return e.Errno }

// Host is the kernel's virtual machine before it has memory and CPUs.
type Host struct {
	k      kernel
	fd, vm int
	caps   map[capability]int
	vmCaps map[capability]int // of this machine
	tiles  bool               // guests may have AMX's registers

	guestXState uint64 // the extended components that guests can have, where the kernel says; in memory that stays where it is
	runSize     int
	cpuid       []cpuidEntry    // what the guest may be shown
	msrs        map[uint32]bool // that can be saved
	closed      bool
}

// Open makes a virtual machine. An error is an *InitError.
func Open() (*Host, error) { return open(linux{}) }

func open(k kernel) (*Host, error) {
	fd, err := k.open(devicePath)
	if err != nil {
		return nil, failure(err, "could not access KVM kernel module, "+devicePath)
	}
	h := &Host{k: k, fd: fd, vm: -1}
	if err := h.setUp(); err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// failure is the error of an attempt to get a virtual machine.
func failure(err error, what string) error {
	var n unix.Errno
	if !errors.As(err, &n) {
		n = unix.EIO
	}
	return &InitError{Errno: n, Detail: what}
}

func (h *Host) setUp() error {
	v, err := h.k.ioctl(h.fd, reqGetAPIVersion, 0)
	switch {
	case err != nil:
		return failure(err, "kvm version too old")
	case v < apiVersion:
		return &InitError{Errno: errInvalid, Detail: "kvm version too old"}
	case v > apiVersion:
		return &InitError{Errno: errInvalid, Detail: "kvm version not supported"}
	}
	if err := h.readCaps(); err != nil {
		return err
	}
	if h.runSize, err = h.k.ioctl(h.fd, reqGetVCPUMmapSize, 0); err != nil || h.runSize < runMin {
		return failure(err, requestNames[reqGetVCPUMmapSize])
	}
	h.requestDynamic()
	if h.vm, err = h.create(); err != nil {
		return failure(err, requestNames[reqCreateVM])
	}
	h.readVMCaps()
	if err := h.readCPUID(); err != nil {
		return err
	}
	return h.readMSRs()
}

// create makes the machine; a signal may come in between.
func (h *Host) create() (fd int, err error) {
	for {
		if fd, err = h.k.ioctl(h.fd, reqCreateVM, 0); err != unix.EINTR {
			if err != nil {
				fd = -1
			}
			return fd, err
		}
	}
}

func (h *Host) readCPUID() error {
	list := &cpuidList{N: maxCPUID}
	if _, err := h.k.ioctlData(h.fd, reqGetSupportedCPUID, bytesOf(list)); err != nil {
		return failure(err, requestNames[reqGetSupportedCPUID])
	}
	h.cpuid = append([]cpuidEntry(nil), list.Entries[:min(list.N, maxCPUID)]...)
	return nil
}

func (h *Host) readMSRs() error {
	list := &msrIndices{N: maxIndices}
	if _, err := h.k.ioctlData(h.fd, reqGetMSRIndexList, bytesOf(list)); err != nil {
		return failure(err, requestNames[reqGetMSRIndexList])
	}
	h.msrs = map[uint32]bool{}
	for _, i := range list.Indices[:min(list.N, maxIndices)] {
		h.msrs[i] = true
	}
	return nil
}

// leaf is what the host supports of a CPUID leaf.
func (h *Host) leaf(function, index uint32) x86.Regs {
	for _, e := range h.cpuid {
		if e.Function == function && (e.Flags&cpuidIndexed == 0 || e.Index == index) {
			return e.Regs
		}
	}
	return x86.Regs{}
}

// enable switches a capability of the machine on; the error is the kernel's.
func (h *Host) enable(c capability, args ...uint64) error {
	e := enableCap{Cap: uint32(c)}
	copy(e.Args[:], args)
	_, err := h.k.ioctlData(h.vm, reqEnableCap, bytesOf(&e))
	return err
}

// Close gives the machine back, if it has not become an Accel's.
func (h *Host) Close() {
	if h.closed {
		return
	}
	h.closed = true
	if h.vm >= 0 {
		_ = h.k.close(h.vm)
	}
	_ = h.k.close(h.fd)
}
