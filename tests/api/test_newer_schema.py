"""A rolling upgrade: the migration runs first, and what is still of the old version goes on serving and training."""

from typing import Any

from sqlalchemy import text


def test_old_code_goes_on_where_a_migration_has_added_something(served_by_both: Any) -> None:
    before = served_by_both.submit()
    with served_by_both.database.write() as session:
        for table in ("experiments", "cohorts", "trials", "epoch_rows", "events", "workers"):
            session.execute(text(f"ALTER TABLE {table} ADD COLUMN of_the_next_version TEXT"))
        session.execute(text("CREATE TABLE of_the_next_version (id TEXT PRIMARY KEY)"))
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert served_by_both.database.schema_problem() is None
    after = served_by_both.submit()
    served_by_both.train()
    for experiment in (before, after):
        links = served_by_both.http.get(f"/v1/experiments/{experiment['id']}").json()["links"]
        for link in ("self", "trials", "metrics", "comparison", "events"):
            answer = served_by_both.http.get(links[link])
            assert answer.status_code == 200, answer.text
    assert served_by_both.http.get("/readyz").json()["database"]["status"] == "ok"
