// Package train runs whole trainings: it opens the data, builds the model, chooses what the
// settings leave open, trains, and writes a run folder with settings, metrics, curves and
// model files. It is what `residual train` calls.
//
// Run does all of it from a Config, whose zero value is the recipe of the notes:
//
//	run, err := train.Run(ctx, device, train.Config{Data: "garments"}, train.Callbacks{})
//	// ...
//	fmt.Println(run.Best, run.BestAccuracy)
//
// The important types are:
//
//   - Config, the settings, among them Own, a module or a data set of the program's own;
//   - Callbacks, which report the progress of a training, and Summary, its result;
//   - Saved, an interrupted run that OpenRun opens: Resume continues it with the same bits.
//
// Package train/recipe has the values that settings take if they are left open, and package
// train/settings their ranges. A program that needs only the training loop, for a module and
// a data set of its own, uses package train/loop.
package train
