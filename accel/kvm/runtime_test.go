package kvm

import (
	"cmp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"goemu/accel"
)

// TestRequestFailsLater makes each request that a running machine makes fail in turn: the machine stops and says which it was, and ends without
// leaving anything.
func TestRequestFailsLater(t *testing.T) {
	pulls := []request{reqGetSregs2, reqGetMPState, reqGetLAPIC, reqGetRegs, reqGetXcrs, reqGetXsave2, reqGetMSRs, reqGetEvents, reqGetDebugRegs}
	pushes := []request{reqSetSregs2, reqSetMPState, reqSetLAPIC, reqSetRegs, reqSetXcrs, reqSetXsave, reqSetMSRs, reqSetEvents, reqSetDebugRegs}
	others := map[request]func(a *Accel){
		reqNMI:           func(a *Accel) { a.CPUs()[0].Raise(accel.IRQNMI) },
		reqSMI:           func(a *Accel) { a.CPUs()[0].Raise(accel.IRQSMI) },
		reqIRQLine:       func(a *Accel) { a.SetLine(4, true) },
		reqSetGSIRouting: func(a *Accel) { a.RoutePins([]accel.MSIRoute{{}}) },
		reqGetIRQChip:    func(a *Accel) { a.IOAPIC() },
		reqSetIRQChip:    func(a *Accel) { a.SetPIC(1, accel.PICState{}) },
		reqGetPIT:        func(a *Accel) { a.PIT() },
		reqSetPIT:        func(a *Accel) { a.SetPIT(accel.PITState{}) },
		reqRun:           func(a *Accel) { a.CPUs()[0].gate.Kick() },
		reqSetGuestDebug: func(a *Accel) {
			a.Pause()
			a.SetStep(0, true)
			a.Resume()
		},
		reqSetClock: func(a *Accel) {
			a.Pause()
			a.Resume()
		},
	}
	for _, r := range pulls {
		others[r] = func(a *Accel) {
			a.Pause()
			a.CPUs()[0].State()
		}
	}
	for _, r := range pushes {
		others[r] = func(a *Accel) {
			a.Pause()
			a.CPUs()[0].Env()
			a.Resume()
		}
	}
	for r, do := range others {
		t.Run(requestNames[r], func(t *testing.T) {
			f := bigHost()
			entered := make(chan struct{}, 1)
			f.guest = func([]byte) error {
				select {
				case entered <- struct{}{}:
				default:
				}
				failure := func() error {
					f.mu.Lock()
					defer f.mu.Unlock()
					return f.fail[reqRun]
				}
				if err := failure(); err != nil {
					return err
				}
				<-f.signals
				return cmp.Or(failure(), error(unix.EINTR))
			}
			m, a := bigMachine(t, f, "", true)
			a.CPUs()[0].SetInterruptController(new(keeper))
			a.Start()
			<-entered
			f.mu.Lock()
			f.fail[r] = unix.ENOMEM
			f.mu.Unlock()
			do(a)
			name := requestNames[r]
			if r == reqRun {
				name = "kvm run failed"
			}
			select {
			case code := <-m.Exit:
				if why := m.Why(); code == -1 || !strings.Contains(why, name) || !strings.Contains(why, "annot allocate memory") {
					t.Errorf("%d: %s", code, why)
				}
			case <-time.After(60 * time.Second):
				t.Fatal("nothing is said")
			}
			if err := a.Close(); err != nil || len(f.open_) != 0 || f.maps != 0 {
				t.Errorf("%v; %d descriptors, %d mappings stay", err, len(f.open_), f.maps)
			}
		})
	}
}

// keeper is a local interrupt controller that keeps nothing.
type keeper struct{ accel.InterruptController }

// Registers implements accel.LocalKeeper.
func (*keeper) Registers(*accel.LocalPage) uint64 { return 0 }

// SetRegisters implements accel.LocalKeeper.
func (*keeper) SetRegisters(uint64, *accel.LocalPage, bool) {}

// AckExternal implements accel.LocalKeeper.
func (*keeper) AckExternal() (uint8, bool) { return 0, false }

// TPR implements accel.InterruptController.
func (*keeper) TPR() uint8 { return 0 }
