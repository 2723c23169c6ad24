package kvm

import (
	"bytes"
	"fmt"

	"goemu/accel"
	"goemu/internal/strerror"

	"golang.org/x/sys/unix"
)

// The file of statistics: a header (struct kvm_stats_header), descriptors of the same size each (struct kvm_stats_desc, then the name with a
// zero at its end), and the values, words of 64 bits.
const (
	sizeStatsHeader = 24
	sizeStatsDesc   = 16

	statsTypeMask, statsUnitMask, statsBaseMask = 0xf, 0xf0, 0xf00
	statsUnitShift                              = 4
	statsBasePow10, statsBasePow2               = 0, 0x100

	// Bounds of what a kernel is believed; Linux 6.18 has 45 statistics, names of 48 bytes and histograms of 32 buckets.
	maxStats, maxStatsName, maxStatsData = 4096, 1024, 1 << 20
)

var (
	statTypes = []accel.StatType{accel.StatCumulative, accel.StatInstant, accel.StatPeak, accel.StatLinearHistogram, accel.StatLog2Histogram}
	statUnits = []accel.StatUnit{"", accel.StatBytes, accel.StatSeconds, accel.StatCycles, accel.StatBoolean}
)

// HasStats tells whether the kernel keeps statistics.
func (a *Accel) HasStats() bool { return a.h.has(capBinaryStats) }

// Stats are the kernel's statistics of a CPU, by its number, or of the machine (-1). Preconditions: no CPU executes.
func (a *Accel) Stats(cpu int) ([]accel.Stat, error) {
	if cpu < 0 {
		return readStats(a.k, a.h.vm)
	}
	for _, c := range a.list() {
		if c.index == cpu {
			return readStats(a.k, c.fd)
		}
	}
	return nil, fmt.Errorf("KVM stats: there is no CPU %d", cpu)
}

// readStats reads the statistics of a machine or a CPU, in the kernel's order, without those whose kind is not known.
func readStats(k kernel, of int) ([]accel.Stat, error) {
	fd, err := k.ioctl(of, reqGetStatsFD, 0)
	if err != nil {
		return nil, fmt.Errorf("KVM stats: ioctl failed: %s", strerror.Of(err))
	}
	defer func() { _ = k.close(fd) }()
	read := func(what string, size int, at uint32) ([]byte, error) {
		b := make([]byte, size)
		n, err := k.pread(fd, b, int64(at))
		if err != nil {
			n = -1
		}
		if n != size {
			return nil, fmt.Errorf("KVM stats: failed to read %s: expected %d actual %d", what, size, n)
		}
		return b, nil
	}
	head, err := read("stats header", sizeStatsHeader, 0)
	if err != nil {
		return nil, err
	}
	nameSize, count := le.Uint32(head[4:]), le.Uint32(head[8:])
	if nameSize > maxStatsName || count > maxStats {
		return nil, fmt.Errorf("KVM stats: %d statistics with names of %d bytes", count, nameSize)
	}
	size := sizeStatsDesc + int(nameSize)
	table, err := read("stats descriptors", size*int(count), le.Uint32(head[16:]))
	if err != nil {
		return nil, err
	}
	end := 0 // of the values
	for d := table; len(d) > 0; d = d[size:] {
		end = max(end, int(le.Uint32(d[8:]))+8*int(le.Uint16(d[6:])))
	}
	if end > maxStatsData {
		return nil, fmt.Errorf("KVM stats: %d bytes of values", end)
	}
	values, err := read("data", end, le.Uint32(head[20:]))
	if err != nil {
		return nil, err
	}
	var list []accel.Stat
	for d := table; len(d) > 0; d = d[size:] {
		if s, ok := parseStat(d[:size], values); ok {
			list = append(list, s)
		}
	}
	return list, nil
}

// parseStat reads a descriptor, and its values from all of them; ok is false for a statistic of an unknown kind.
func parseStat(d, values []byte) (s accel.Stat, ok bool) {
	flags := le.Uint32(d)
	typ, unit := flags&statsTypeMask, flags&statsUnitMask>>statsUnitShift
	if int(typ) >= len(statTypes) || int(unit) >= len(statUnits) {
		return s, false
	}
	switch flags & statsBaseMask {
	case statsBasePow10:
		s.Base = 10
	case statsBasePow2:
		s.Base = 2
	default:
		return s, false
	}
	name, _, _ := bytes.Cut(d[sizeStatsDesc:], []byte{0})
	s.Name, s.Type, s.Unit, s.Exponent, s.BucketSize = string(name), statTypes[typ], statUnits[unit], int16(le.Uint16(d[4:])), le.Uint32(d[12:])
	for i := range int(le.Uint16(d[6:])) {
		s.Values = append(s.Values, le.Uint64(values[int(le.Uint32(d[8:]))+8*i:]))
	}
	return s, len(s.Values) > 0
}

// pread reads from a place of a file.
func (linux) pread(fd int, p []byte, off int64) (int, error) { return unix.Pread(fd, p, off) }
