package simulation

import "testing"

// TestDeliberateMistakesAreFound shows that the oracles bite: each mistake in a
// shell is found within some seeds.
func TestDeliberateMistakesAreFound(t *testing.T) {
	for _, c := range []struct {
		name  string
		bug   Bug
		seeds int
	}{
		{"hellos of older generations count", OldHellos, 2000},
		{"the ring takes frames of older generations", LateFrames, 10000},
		{"an entry is applied twice", ApplyTwice, 2000},
		{"what survivors hold is forgotten", ForgetHeld, 2000},
		{"sums are rounded with old exponents", OldExponents, 2000},
		{"sums go on after their step", NoReset, 2000},
		{"two leaders write", TwoLeaders, 2000},
		{"checkpoints are announced before they are durable", AckEarly, 2000},
		{"replicas are not compared", NoDigests, 2000},
		{"parts of different snapshots are taken", MixedSnapshot, 2000},
		{"a worker does not heed its eviction", IgnoreEviction, 2000},
		{"slices of a dead member are waited for", KeepOldSlices, 2000},
		{"a worker is silent while it leaves a ring", SlowLeave, 2000},
		{"a drained worker leaves in mid-step", LeaveMidStep, 2000},
		{"a rank that has lost the next one waits for the previous", WaitForPrevious, 2000},
		{"that a state was trained is forgotten", ForgetLineage, 2000},
		{"a state of a checkpoint counts as trained", InventLineage, 2000},
		{"a computation that does not return is waited for", NoWatchdog, 2000},
		{"that a rank is silent is told as if it were lost", SilenceCountsTwice, 2000},
		{"a chunk of a checkpoint is lost and acknowledged", LostChunks, 2000},
		{"chunks of older generations count", OldChunks, 10000},
		{"an older entry of a pin is served", StalePin, 2000},
		{"a chunk is passed on before it is summed", SendBeforeSum, 2000},
		{"a plan is tried again without its guard", RetryWithoutFence, 2000},
		{"a save is written out of order", WriteOutOfOrder, 2000},
		{"events are sent once", LoseEvents, 2000},
		{"a donor that is behind is chosen", DonorBehind, 10000},
		{"an order is forgotten after a takeover", ForgetOrder, 2000},
	} {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && c.seeds > 2000 {
				t.Skip("it takes many seeds")
			}
			failed := each(c.seeds, c.bug).failed
			if failed == nil {
				t.Fatalf("%d seeds did not find it", c.seeds)
			}
			t.Logf("seed %d: %v", failed.Seed, failed.Failure)
		})
	}
}
