package uas

import (
	"slices"

	"goemu/hw/usb"
)

// task does a function of task management.
func (u *UAS) task(tag uint16, lun64 uint64, function uint8, other uint16) {
	lun, ok := u.target(lun64)
	code := uint8(responseComplete)
	switch {
	case u.find(tag) != nil:
		code = responseOverlapped
	case !ok:
		code = responseIncorrectLUN
	case function == taskAbort:
		if r := u.find(other); r != nil && r.lun == lun {
			u.abort(r)
		}
	case function == taskResetLUN:
		for _, r := range slices.Clone(u.requests) {
			if r.lun == lun {
				u.abort(r)
			}
		}
		if x := u.bus.Unit(0, uint32(lun)); x != nil {
			x.Reset()
		}
	default:
		code = responseNotSupported
	}
	u.response(tag, code)
}

// abort ends a request without telling how; what the host is doing for it is waited for.
func (u *UAS) abort(r *request) {
	if r.job != nil {
		r.job.Drop()
	}
	u.forget(r)
	if p := r.packet; p != nil {
		r.packet = nil
		u.end(p, usb.OK)
	}
	u.next()
}
