package blockcmd

import (
	"context"

	"goemu/block"
	"goemu/qapi"

	"golang.org/x/sys/unix"
)

// throttleInfo fills in the limits of a group.
func throttleInfo(i *qapi.BlockDeviceInfo, g *block.ThrottleGroup) {
	c := g.Config()
	for k, to := range [...]struct {
		avg         *int64
		max, length **int64
	}{
		block.BytesTotal: {&i.Bps, &i.BpsMax, &i.BpsMaxLength}, block.BytesRead: {&i.BpsRd, &i.BpsRdMax, &i.BpsRdMaxLength},
		block.BytesWrite: {&i.BpsWr, &i.BpsWrMax, &i.BpsWrMaxLength}, block.OpsTotal: {&i.Iops, &i.IopsMax, &i.IopsMaxLength},
		block.OpsRead: {&i.IopsRd, &i.IopsRdMax, &i.IopsRdMaxLength}, block.OpsWrite: {&i.IopsWr, &i.IopsWrMax, &i.IopsWrMaxLength},
	} {
		b := c.Buckets[k]
		*to.avg = int64(b.Avg)
		if b.Max != 0 {
			*to.max, *to.length = some(int64(b.Max)), some(int64(b.Length))
		}
	}
	if c.OpSize != 0 {
		i.IopsSize = some(int64(c.OpSize))
	}
	i.Group = some(g.Name)
}

// BlockSetIoThrottle implements qapi.BlockCommands.
func (s *Service) BlockSetIoThrottle(_ context.Context, a *qapi.BlockIOThrottle) error {
	return s.locked(func() error {
		b, err := s.backend(a.Device, a.Id)
		if err != nil {
			return err
		}
		if b.Node() == nil {
			return block.Errorf(unix.ENOMEDIUM, "Device has no medium")
		}
		c := throttleConfig(a)
		if err := c.Check(); err != nil {
			return err
		}
		if !c.Enabled() {
			s.Drives.SetThrottle(b, "", nil)
			return nil
		}
		name := deref(a.Group, "")
		if name == "" && b.Throttle() == nil {
			name = deref(a.Device, deref(a.Id, ""))
		}
		return s.Drives.SetThrottle(b, name, &c)
	})
}

// throttleConfig are the limits that a command sets.
func throttleConfig(a *qapi.BlockIOThrottle) block.ThrottleConfig {
	c := block.NewThrottleConfig()
	for k, from := range [...]struct {
		avg         int64
		max, length *int64
	}{
		block.BytesTotal: {a.Bps, a.BpsMax, a.BpsMaxLength}, block.BytesRead: {a.BpsRd, a.BpsRdMax, a.BpsRdMaxLength},
		block.BytesWrite: {a.BpsWr, a.BpsWrMax, a.BpsWrMaxLength}, block.OpsTotal: {a.Iops, a.IopsMax, a.IopsMaxLength},
		block.OpsRead: {a.IopsRd, a.IopsRdMax, a.IopsRdMaxLength}, block.OpsWrite: {a.IopsWr, a.IopsWrMax, a.IopsWrMaxLength},
	} {
		c.Buckets[k] = block.Bucket{Avg: uint64(from.avg), Max: uint64(deref(from.max, 0)), Length: uint64(deref(from.length, 1))}
	}
	c.OpSize = uint64(deref(a.IopsSize, 0))
	return c
}
