package block

import (
	"context"
	"time"
)

// The interfaces of this file are those of image formats: what a tool or a monitor command does with an image besides reading and writing it.

// Backed is an image that may name a backing file. The generic layer opens it as the child "backing" after the driver's Open, unless the
// options or the mode say otherwise. Both names are as stored in the image; the format is empty if the image does not tell it.
type Backed interface {
	BackingFile() (filename, format string)
}

// CheckFix says what a check repairs.
type CheckFix uint8

// The kinds of repair.
const (
	FixLeaks  CheckFix = 1 << iota // give back clusters that nothing uses
	FixErrors                      // everything else that can be repaired
)

// CheckResult counts what a check found.
type CheckResult struct {
	Corruptions, Leaks, CheckErrors int
	CorruptionsFixed, LeaksFixed    int

	ImageEndOffset                                                           int64
	TotalClusters, AllocatedClusters, FragmentedClusters, CompressedClusters int64
}

// Checker verifies the metadata of an image. Findings go to Graph.Messages as they are found.
type Checker interface {
	Check(ctx context.Context, fix CheckFix) (CheckResult, error)
}

// Snapshot describes an internal snapshot.
type Snapshot struct {
	ID, Name    string
	VMStateSize uint64
	Date        time.Time
	VMClock     uint64 // nanoseconds
	ICount      int64  // -1 if unknown
	DiskSize    int64
}

// Snapshotter is a format with internal snapshots.
type Snapshotter interface {
	Snapshots() ([]Snapshot, error)
	// SnapshotCreate stores s; an empty ID asks for the next free number, which is written to s.
	SnapshotCreate(ctx context.Context, s *Snapshot) error
	// SnapshotGoto makes the disk what it was when the snapshot (found by ID, then by name) was taken.
	SnapshotGoto(ctx context.Context, idOrName string) error
	// SnapshotDelete removes the snapshot that matches the ID and the name; an empty one is not compared.
	SnapshotDelete(ctx context.Context, id, name string) error
	// SnapshotLoadTmp shows the snapshot's content on a read-only node.
	SnapshotLoadTmp(ctx context.Context, id, name string) error
}

// Progress is told how much of how much is done.
type Progress func(done, total int64)

// Amender changes options of an existing image. The options are those of Driver.AmendOptions.
type Amender interface {
	Amend(ctx context.Context, o *Options, force bool, progress Progress) error
}

// AmendBracketer is an Amender that must be told before, which it may refuse, and after an Amend, both with the graph lock held.
type AmendBracketer interface {
	AmendBegin() error
	AmendEnd() error
}

// Encrypter is a format that may be encrypted.
type Encrypter interface {
	Encrypted() bool
}

// MeasureInfo is the answer of Driver.Measure. Bitmaps counts only if HasBitmaps.
type MeasureInfo struct {
	Required, FullyAllocated int64
	Bitmaps                  int64
	HasBitmaps               bool
}

// Emptier drops everything an image holds above its backing file.
type Emptier interface {
	MakeEmpty(ctx context.Context) error
}

// ZeroIniter tells whether a new image reads as zeroes.
type ZeroIniter interface {
	HasZeroInit(ctx context.Context) bool
}

// DebugEventer is a node that wants to know what the format above it is about to do (blkdebug).
type DebugEventer interface {
	DebugEvent(name string)
}

// DebugEvent tells the child's node that event name is about to happen.
func (c *Child) DebugEvent(name string) {
	if d, ok := c.node.state.(DebugEventer); ok {
		d.DebugEvent(name)
	}
}

// Deleter is a protocol node whose host object can be removed, as after a failed creation.
type Deleter interface {
	DeleteFile(ctx context.Context) error
}
