package qed

import (
	"context"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// Drivers is the format of this package.
var Drivers = []*block.Driver{{
	Name: "qed", Probe: probe, SupportsBacking: true, Open: open, Create: create, CreateNode: createNode, CreateOptions: createOptions,
}}

func probe(head []byte, _ string) int {
	if len(head) >= headerLen && string(head[:len(magic)]) == magic {
		return 100
	}
	return 0
}

func open(ctx context.Context, n *block.Node, o *block.Options) (block.Instance, error) {
	file, err := n.OpenChild(ctx, o, "file", block.RoleImage|block.RolePrimary, true)
	if err != nil {
		return nil, err
	}
	im := &image{node: n, file: file}
	return im, im.load(ctx)
}

// writable tells whether the image may be changed now.
func (im *image) writable() bool {
	m := im.node.Mode()
	return !m.ReadOnly && !m.Inactive
}

// load reads the header and the first table, and repairs an image that was not closed.
func (im *image) load(ctx context.Context) error {
	im.mu.Lock()
	defer im.mu.Unlock()
	fail := func(text string) error { return block.Errorf(unix.EINVAL, "%s", text) }
	b := make([]byte, headerLen)
	if err := im.file.Read(ctx, 0, b); err != nil {
		return block.Errorf(block.Errno(err), "Failed to read QED header")
	}
	if string(b[:len(magic)]) != magic {
		return fail("Image not in QED format")
	}
	im.h = parseHeader(b)
	if err := im.h.check(); err != nil {
		return err
	}
	length, err := im.file.Length(ctx)
	if err != nil {
		return block.Errorf(block.Errno(err), "Failed to get file length")
	}
	im.end = length &^ (int64(im.h.cluster) - 1)
	switch {
	case !im.validTableAt(im.h.l1):
		return fail("QED table offset is invalid")
	case im.h.clusters > maxHeaderCluster/im.h.cluster:
		return fail("QED header size is too large")
	}
	if err := im.readBackingName(ctx); err != nil {
		return err
	}
	if im.h.autoclear != 0 && im.writable() { // there is nothing of that kind that this program keeps right
		im.h.autoclear = 0
		if im.file.Write(ctx, 0, im.h.bytes(), 0) != nil {
			return fail("Failed to update header")
		}
		if err := im.file.Flush(ctx); err != nil {
			return err
		}
	}
	im.l1, im.l2 = make([]byte, im.h.tableLen()), map[int64][]byte{}
	if err := im.file.Read(ctx, int64(im.h.l1), im.l1); err != nil {
		return block.Errorf(block.Errno(err), "Failed to read L1 table")
	}
	if im.h.features&featNeedCheck != 0 && !im.node.Mode().Check && im.writable() {
		if _, err := im.check(ctx, true); err != nil {
			return block.Errorf(block.Errno(err), "Image corrupted")
		}
	}
	return nil
}

// readBackingName reads the name of the backing file.
// Preconditions: mu is held.
func (im *image) readBackingName(ctx context.Context) error {
	im.backing = ""
	if im.h.features&featBacking == 0 {
		return nil
	}
	if uint64(im.h.backingAt)+uint64(im.h.backingLen) > uint64(im.h.cluster)*uint64(im.h.clusters) {
		return block.Errorf(unix.EINVAL, "QED backing filename offset is invalid")
	}
	if im.h.backingLen > maxBackingName {
		return block.Errorf(unix.EINVAL, "Failed to read backing filename")
	}
	b := make([]byte, im.h.backingLen)
	if err := im.file.Read(ctx, int64(im.h.backingAt), b); err != nil {
		return block.Errorf(block.Errno(err), "Failed to read backing filename")
	}
	im.backing = string(b)
	return nil
}

// BackingFile implements block.Backed.
func (im *image) BackingFile() (filename, format string) {
	if im.h.features&featRawBacking != 0 && im.backing != "" {
		format = "raw"
	}
	return im.backing, format
}

// Close implements block.Instance.
func (im *image) Close() {
	im.mu.Lock()
	defer im.mu.Unlock()
	im.closed = true
	im.stopTimer()
	if im.writable() && im.l1 != nil {
		_ = im.clean(context.Background()) // otherwise the image is checked when it is opened again
	}
}

// DrainBegin implements block.Drainer.
func (im *image) DrainBegin() {
	im.mu.Lock()
	defer im.mu.Unlock()
	im.drained++
	im.stopTimer()
}

// DrainEnd implements block.Drainer.
func (im *image) DrainEnd() {
	im.mu.Lock()
	defer im.mu.Unlock()
	im.drained--
	if im.drained == 0 && im.h.features&featNeedCheck != 0 && im.writable() && !im.closed {
		_ = im.allocating(context.Background()) // which only starts the timer
	}
}

// Length implements block.Lengther.
func (im *image) Length(context.Context) (int64, error) {
	im.mu.Lock()
	defer im.mu.Unlock()
	return int64(im.h.size), nil
}

// RefreshLimits implements block.Limiter.
func (im *image) RefreshLimits(l *block.Limits) error {
	l.RequestAlign, l.WriteZeroesAlign = sectorSize, int64(im.h.cluster)
	l.MaxWriteZeroes = (1<<31 - 1) &^ (int64(im.h.cluster) - 1)
	return nil
}

// Info implements block.Informer.
func (im *image) Info() block.DriverInfo {
	im.mu.Lock()
	defer im.mu.Unlock()
	return block.DriverInfo{ClusterSize: int64(im.h.cluster), Dirty: im.h.features&featNeedCheck != 0}
}

// HasZeroInit implements block.ZeroIniter.
func (*image) HasZeroInit(context.Context) bool { return true }

// ReopenPrepare implements block.Reopener; there are no options.
func (im *image) ReopenPrepare(ctx context.Context, _ *block.Options, m block.Mode) error {
	im.mu.Lock()
	defer im.mu.Unlock()
	if m.ReadOnly && im.writable() {
		return im.clean(ctx)
	}
	return nil
}

// ReopenCommit implements block.Reopener.
func (*image) ReopenCommit() {}

// ReopenAbort implements block.Reopener.
func (*image) ReopenAbort() {}

// InvalidateCache implements block.Activater.
func (im *image) InvalidateCache(ctx context.Context) error {
	if err := im.load(ctx); err != nil {
		return block.Prepend(err, "Could not reopen qed layer: ")
	}
	return nil
}

// Inactivate implements block.Activater.
func (im *image) Inactivate(ctx context.Context) error {
	im.mu.Lock()
	defer im.mu.Unlock()
	if im.node.Mode().ReadOnly {
		return nil
	}
	return im.clean(ctx)
}

// Check implements block.Checker.
func (im *image) Check(ctx context.Context, fix block.CheckFix) (block.CheckResult, error) {
	im.mu.Lock()
	defer im.mu.Unlock()
	return im.check(ctx, fix != 0)
}
