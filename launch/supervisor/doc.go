// Package supervisor decides what becomes of the processes of a run on one machine, as
// a pure state machine: ends of processes, the status of the run and requests of users
// go in with the time; processes to start, to signal and to kill come out.
//
// It guarantees:
//   - a process that ends while it is needed is started again, after a pause that grows
//     while its lives are of no use, or the run ends with the words of that process;
//   - of each ID at most one process runs;
//   - where the machine lacks something, a run that may have fewer workers goes on with
//     fewer, as long as the minimum is left;
//   - a stop asks the coordinator first, then signals the workers, then ends the run, and
//     waits for as long as a last checkpoint is being stored;
//   - a run that cannot go on stores what its live workers hold before it ends, where a
//     checkpoint service can run, within five minutes;
//   - after the last worker the services end one by one, the checkpoint service last, and
//     each is started again if it dies before it was asked to end;
//   - after a request to end at once, nothing follows but the end;
//   - the same events give the same effects.
//
// It does not know why the coordinator wants a worker to leave, nor which steps there are
// on disk: the shell tells it what they say. It has no goroutine, clock, process or
// network; package launch is the shell.
package supervisor
