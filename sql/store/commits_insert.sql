insert into commits (id, at) values (:id, :now)
