"""The journal's schema, one script for each change that a release made to it. A script is never edited afterwards."""
