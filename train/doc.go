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
// OpenRun opens an interrupted run to continue it, with the same bits. Summary describes a run that has
// ended, and Callbacks report its progress. A program that needs only the training loop, for
// a module and a data set of its own, uses package train/loop.
package train
