package block

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"goemu/block/bitmap"

	"golang.org/x/sys/unix"
)

// BitmapStorer is a driver whose images can keep dirty bitmaps.
type BitmapStorer interface {
	// CanStoreBitmap tells why a new persistent bitmap cannot be added.
	CanStoreBitmap(ctx context.Context, name string, granularity int64) error
	// RemoveBitmap removes a stored bitmap; it is no error if there is none.
	RemoveBitmap(ctx context.Context, name string) error
}

// CanStoreBitmap tells why a new persistent bitmap cannot be added to the node.
func (n *Node) CanStoreBitmap(ctx context.Context, name string, granularity int64) error {
	if s, ok := n.state.(BitmapStorer); ok {
		return s.CanStoreBitmap(ctx, name, granularity)
	}
	return Errnof(unix.ENOTSUP, "Can't store persistent bitmaps to %s", n.DeviceOrNodeName())
}

// RemoveStoredBitmap removes a bitmap from the image; it is no error if there is none.
func (n *Node) RemoveStoredBitmap(ctx context.Context, name string) error {
	if s, ok := n.state.(BitmapStorer); ok {
		return s.RemoveBitmap(ctx, name)
	}
	return nil
}

// AddBitmap gives the node a new, enabled dirty bitmap. An empty name is for jobs: nobody else finds the bitmap.
func (n *Node) AddBitmap(ctx context.Context, name string, granularity int64) (*bitmap.Bitmap, error) {
	if name != "" && n.FindBitmap(name) != nil {
		return nil, Errorf(unix.EEXIST, "Bitmap already exists: %s", name)
	}
	if len(name) > bitmap.MaxName {
		return nil, Errorf(unix.EINVAL, "Bitmap name too long: %s", name)
	}
	size, err := n.Length(ctx)
	if err != nil {
		return nil, Errnof(Errno(err), "could not get length of device")
	}
	b := bitmap.New(name, size, granularity)
	n.mu.Lock()
	defer n.mu.Unlock()
	list := append([]*bitmap.Bitmap{b}, n.Bitmaps()...)
	n.bitmaps.Store(&list)
	return b, nil
}

// AttachBitmap gives the node a bitmap that its driver has read from the image.
func (n *Node) AttachBitmap(b *bitmap.Bitmap) {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := append([]*bitmap.Bitmap{b}, n.Bitmaps()...)
	n.bitmaps.Store(&list)
}

// RemoveBitmap takes a bitmap from the node's list.
func (n *Node) RemoveBitmap(b *bitmap.Bitmap) {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(n.Bitmaps()), func(x *bitmap.Bitmap) bool { return x == b })
	n.bitmaps.Store(&list)
}

// Bitmaps lists the node's bitmaps, those of jobs included, the newest first. The list is not to be changed.
func (n *Node) Bitmaps() []*bitmap.Bitmap {
	if p := n.bitmaps.Load(); p != nil {
		return *p
	}
	return nil
}

// ShowBitmap lists what info describes among the node's bitmaps until hide is called: the map of an operation.
func (n *Node) ShowBitmap(info func() bitmap.Info) (hide func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := &info
	n.shown = append(n.shown, p)
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.shown = slices.DeleteFunc(n.shown, func(x *func() bitmap.Info) bool { return x == p })
	}
}

// BitmapInfos describes the node's bitmaps, those of operations included, the newest first.
func (n *Node) BitmapInfos() (list []bitmap.Info) {
	for _, b := range n.Bitmaps() {
		list = append(list, b.Infos()...)
	}
	n.mu.Lock()
	shown := slices.Clone(n.shown)
	n.mu.Unlock()
	for _, info := range shown {
		list = append(list, (*info)())
	}
	slices.SortFunc(list, func(a, b bitmap.Info) int { return cmp.Compare(b.ID, a.ID) })
	return list
}

// FindBitmap finds a bitmap by its name, or nil.
func (n *Node) FindBitmap(name string) *bitmap.Bitmap {
	for _, b := range n.Bitmaps() {
		if b.Name() == name && name != "" {
			return b
		}
	}
	return nil
}

// DefaultBitmapGranularity is the granularity of a bitmap whose user does not care: the cluster size within reasonable bounds.
func (n *Node) DefaultBitmapGranularity() int64 {
	const least, most = 4 << 10, 64 << 10
	if i, ok := n.state.(Informer); ok {
		if size := i.Info().ClusterSize; size > 0 {
			return min(max(size, least), most)
		}
	}
	return most
}

// recordDirty notes a change of the node's content in its bitmaps.
func (n *Node) recordDirty(off, length int64) {
	if p := n.bitmaps.Load(); p != nil {
		for _, b := range *p {
			b.Record(off, length)
		}
	}
}

// truncateBitmaps follows a change of the node's length.
func (n *Node) truncateBitmaps(length int64) {
	for _, b := range n.Bitmaps() {
		b.Truncate(length)
	}
}

// BitmapUse is what somebody wants to do with a bitmap.
type BitmapUse uint8

// The uses: a state that is not allowed for the use is an error.
const (
	BitmapNotBusy BitmapUse = 1 << iota
	BitmapWritable
	BitmapConsistent

	// BitmapRead is for operations that do not change a stored bitmap.
	BitmapRead = BitmapNotBusy | BitmapConsistent
	// BitmapChange is for all others.
	BitmapChange = BitmapRead | BitmapWritable
)

// CheckBitmap tells why the bitmap cannot be used so.
func CheckBitmap(b *bitmap.Bitmap, use BitmapUse) error {
	switch s := b.State(); {
	case use&BitmapNotBusy != 0 && s.Busy:
		return Errorf(unix.EINVAL, "Bitmap '%s' is currently in use by another operation and cannot be used", b.Name())
	case use&BitmapWritable != 0 && s.ReadOnly:
		return Errorf(unix.EINVAL, "Bitmap '%s' is readonly and cannot be modified", b.Name())
	case use&BitmapConsistent != 0 && s.Inconsistent:
		err := Errorf(unix.EINVAL, "Bitmap '%s' is inconsistent and cannot be used", b.Name())
		var e *Error
		if errors.As(err, &e) {
			e.Hint = "Try block-dirty-bitmap-remove to delete this bitmap from disk"
		}
		return err
	}
	return nil
}

// MergeBitmap adds what is dirty in src to dst and returns the content before, for dst.Restore.
func MergeBitmap(dst, src *bitmap.Bitmap) (*bitmap.Map, error) {
	if err := CheckBitmap(dst, BitmapChange); err != nil {
		return nil, err
	}
	if err := CheckBitmap(src, BitmapRead); err != nil {
		return nil, err
	}
	before, ok := dst.Merge(src)
	if !ok {
		return nil, Errorf(unix.EINVAL, "Bitmaps are of different sizes (destination size is %d, source size is %d) and can't be merged",
			dst.Size(), src.Size())
	}
	return before, nil
}

// hasReadOnlyBitmaps tells whether a stored bitmap forbids changes of the node's content.
func (n *Node) hasReadOnlyBitmaps() bool {
	for _, b := range n.Bitmaps() {
		if b.State().ReadOnly {
			return true
		}
	}
	return false
}
